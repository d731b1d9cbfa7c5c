"""The embedded registry: schemas and their ids in the `_schemas` topic.

Promises: a reader sees every schema that was registered before it asked; there is one writer at a time (a PostgreSQL
advisory lock), which reads to the end before it allocates an id and checks afterwards that its record is the one in force.
"""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.errors import KafoldError, UnknownSchemaId
from schemas.registry import SCHEMAS_TOPIC, Registry, UnregisteredSchema
from streams.kafka.config import Kafka

TIMEOUT_S = 30.0
LOCK = 0x6B61666F6C64  # "kafold" in ASCII: the advisory lock of whoever writes to the topic


class RegistryUnavailable(KafoldError):
    """The `_schemas` topic cannot be read or written: look at the cluster, then try again."""


class TopicRegistry:
    """Reads the `_schemas` topic. It implements SchemaIds, and may be shared between threads."""

    def __init__(self, kafka: Kafka) -> None:
        """Read the topic to its end."""
        self._registry = Registry()
        self._lock = threading.Lock()
        self._place = TopicPartition(SCHEMAS_TOPIC, 0, 0)
        configuration = kafka.consumer(group_id="kafold-schemas", isolation_level="read_uncommitted")
        self._consumer = Consumer(configuration)
        # Asked on a connection of its own: behind a waiting fetch the answer takes fetch.wait.max.ms, half a second.
        self._ends = Consumer(configuration)
        self._consumer.assign([self._place])
        self._next = 0
        self.refresh()

    def refresh(self) -> bool:
        """Read what was registered since; return whether there was anything."""
        with self._lock:
            _, end = self._ends.get_watermark_offsets(self._place, timeout=TIMEOUT_S)
            before = self._next
            while self._next < end:
                message = self._consumer.poll(TIMEOUT_S)
                if message is None or message.error():
                    raise RegistryUnavailable(f"{SCHEMAS_TOPIC} cannot be read: {message and message.error()}")
                self._registry.apply(message.key(), message.value())
                self._next = message.offset() + 1
            return self._next > before

    def id_of(self, subject: str, schema: str) -> int:
        """Return the schema's id under the subject, or raise UnregisteredSchema."""
        try:
            return self._registry.id_of(subject, schema)
        except UnregisteredSchema:
            if not self.refresh():
                raise
            return self._registry.id_of(subject, schema)

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with this id, or raise UnknownSchemaId."""
        try:
            return self._registry.schema_of(schema_id)
        except UnknownSchemaId:
            if not self.refresh():
                raise
            return self._registry.schema_of(schema_id)

    def registration(self, subject: str, schema: str) -> tuple[bytes, bytes] | None:
        """Return the record that registers a schema; None: it is registered."""
        return self._registry.registration(subject, schema)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()
        self._ends.close()

    def __enter__(self) -> Self:
        """Return the registry; it is closed at the end of the `with`."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the cluster."""
        self.close()


def register(kafka: Kafka, dsn: str, subjects: Mapping[str, str]) -> int:
    """Register each subject's schema that is not there yet; return how many were not.

    Raises:
        RegistryUnavailable: a record was not written, or another writer was not kept out.
    """
    with psycopg.connect(dsn, autocommit=True) as connection, TopicRegistry(kafka) as registry:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        producer = Producer(kafka.producer(acks="all", compression_type="none"))
        return sum(_register(registry, producer, subject, schema) for subject, schema in subjects.items())


def _register(registry: TopicRegistry, producer: Producer, subject: str, schema: str) -> bool:
    registry.refresh()
    record = registry.registration(subject, schema)
    if record is None:
        return False
    failures: list[str] = []
    key, value = record
    producer.produce(
        SCHEMAS_TOPIC, value, key, partition=0, on_delivery=lambda error, _: failures.append(str(error)) if error else None
    )
    if producer.flush(TIMEOUT_S) or failures:
        raise RegistryUnavailable(f"the schema of {subject} was not written: {failures or 'no answer in time'}")
    registry.refresh()
    registry.id_of(subject, schema)
    return True
