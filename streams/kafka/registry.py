"""The embedded registry: schemas and their ids in the `_schemas` topic.

Promises: a reader sees every schema that was registered before it asked; there is one writer at a time (a PostgreSQL
advisory lock), which reads to the end before it allocates an id and checks afterwards that its record is the one in
force.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

import psycopg
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas.admission import admit, mode_of
from schemas.closing import Closing
from schemas.codec import NO_EVOLUTION
from schemas.errors import KafoldError, UnknownSchemaId
from schemas.registry import SCHEMAS_TOPIC, Registry, UnregisteredSchema
from schemas.upcasting import Evolution
from streams.kafka.config import Kafka
from streams.kafka.ends import UNKNOWN

TIMEOUT_S = 30.0
ATTEMPTS_MAX = 10
LOCK = 0x6B61666F6C64  # "kafold" in ASCII: the advisory lock of whoever writes to the topic


class RegistryUnavailable(KafoldError):
    """The `_schemas` topic cannot be read or written: look at the cluster, then try again."""


class TopicRegistry(Closing):
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
            before, end = self._next, self._end()
            while self._next < end:
                message = self._consumer.poll(TIMEOUT_S)
                if message is None or message.error():
                    raise RegistryUnavailable(f"{SCHEMAS_TOPIC} cannot be read: {message and message.error()}")
                self._registry.apply(message.key(), message.value())
                self._next = message.offset() + 1
            return self._next > before

    def _end(self) -> int:
        try:
            end: int = self._ends.get_watermark_offsets(self._place, timeout=TIMEOUT_S)[1]
        except KafkaException as error:
            if error.args[0].code() not in UNKNOWN:
                raise
            raise RegistryUnavailable(
                f"the cluster has no topic {SCHEMAS_TOPIC}: run `kafold up`, which makes what is missing, or, if a "
                "restore was interrupted, `kafold restore` again"
            ) from error
        return end

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

    def repairs(self) -> Sequence[tuple[bytes, bytes | None]]:
        """Return the records to write again, because two writers were at work at once."""
        return self._registry.repairs()

    @property
    def contents(self) -> Registry:
        """What was read so far: for whoever serves it, who refreshes first. Not to be changed."""
        return self._registry

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()
        self._ends.close()


def register(kafka: Kafka, dsn: str, subjects: Mapping[str, str], evolution: Evolution = NO_EVOLUTION) -> int:
    """Register each subject's schema that is not there yet, and its mode; return how many schemas were not.

    Raises:
        IncompatibleSchema: a schema may not follow its subject's versions; those before it are registered.
        RegistryUnavailable: a record was not written, or others wrote at the same time again and again.
    """
    with psycopg.connect(dsn, autocommit=True) as connection, TopicRegistry(kafka) as registry:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        registrar = Registrar(registry, kafka, lambda: _still_alone(connection), evolution)
        made = sum(registrar.register(subject, schema) for subject, schema in subjects.items())
        registrar.configure({subject: mode_of(evolution, schema) for subject, schema in subjects.items()})
        return made


class Registrar:
    """Writes to the `_schemas` topic. There should be one at a time; if there are two, both come to one id a schema.

    The lock keeps a second one out, except from a registrar that was stopped between its reading and its writing for so
    long that PostgreSQL gave its lock away. Such a late record breaks nothing: whoever claimed an id or a version first
    keeps it (`schemas/registry.py`), the late one sees that its own is not in force and takes the next, and records
    that compaction would prefer wrongly are written over.
    """

    def __init__(
        self,
        registry: TopicRegistry,
        kafka: Kafka,
        alone: Callable[[], None] = lambda: None,
        evolution: Evolution = NO_EVOLUTION,
    ) -> None:
        """`alone` raises if this is no longer the only registrar; `evolution` has the subjects' modes."""
        self._registry = registry
        self._alone = alone
        self._evolution = evolution
        self._producer = Producer(kafka.producer(acks="all", compression_type="none"))

    def register(self, subject: str, schema: str) -> bool:
        """Register a schema; return whether it was not there. Raises IncompatibleSchema if it may not be."""
        for attempt in range(ATTEMPTS_MAX):
            self._registry.refresh()
            self._write(self._registry.repairs())
            record = self._registry.registration(subject, schema)
            if record is None:
                return attempt > 0
            known = [each.schema for each in self._registry.contents.versions(subject)]
            admit(self._evolution, subject, known, schema)
            self._alone()
            self._write([record])
        raise RegistryUnavailable(
            f"the schema of {subject} was not registered: others write to {SCHEMAS_TOPIC} all the time"
        )

    def configure(self, modes: Mapping[str, str]) -> None:
        """Write down each subject's mode, so that another registry that takes over the topic keeps it."""
        self._registry.refresh()
        records = [self._registry.contents.configuration(subject, mode) for subject, mode in modes.items()]
        self._alone()
        self._write([record for record in records if record is not None])

    def _write(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write records (key, value) and wait until they are there."""
        failures: list[str] = []
        for key, value in records:
            self._producer.produce(
                SCHEMAS_TOPIC,
                value,
                key,
                partition=0,
                on_delivery=lambda error, _: failures.append(str(error)) if error else None,
            )
        if self._producer.flush(TIMEOUT_S) or failures:
            raise RegistryUnavailable(f"{SCHEMAS_TOPIC} was not written: {failures or 'no answer in time'}")


def _still_alone(connection: psycopg.Connection) -> None:
    """Ask PostgreSQL, just before writing, whether the lock is still ours: its session may have ended unseen."""
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        raise RegistryUnavailable(f"the lock of the registry's writer was lost, try again: {error}") from error
