"""A foreign producer: one that opens a transaction on an application's topics, and takes its time to end it."""

import uuid
from enum import Enum
from typing import Any

from confluent_kafka import Producer

from streams.kafka.config import Kafka

PATIENCE_MS = 60_000
TIMEOUT_MS = 3_000


class End(Enum):
    """How the foreign transaction ends."""

    COMMIT = "the producer commits it"
    ABORT = "the producer aborts it"
    TIMEOUT = "the producer is never heard of again, so that Kafka aborts it"


class Foreign:
    """One open transaction, that will end in one way."""

    def __init__(self, kafka: Kafka, end: End) -> None:
        """Open it."""
        self.how = end
        timeout_ms = TIMEOUT_MS if end is End.TIMEOUT else PATIENCE_MS
        self._producer = Producer(
            kafka.producer(transactional_id=f"foreign-{uuid.uuid4().hex}", transaction_timeout_ms=timeout_ms)
        )
        self._producer.init_transactions()
        self._producer.begin_transaction()

    def write(self, topic: str, key: bytes, value: bytes, partition: int = -1) -> int:
        """Write a record into it, wait until Kafka has it, and return its partition."""
        found: list[int] = []

        def delivered(error: object, message: Any) -> None:
            assert error is None, error
            found.append(message.partition())

        self._producer.produce(topic, value, key, partition, on_delivery=delivered)
        self._producer.flush()
        return found[0]

    def end(self) -> None:
        """End it; one that ends by its timeout needs nothing."""
        if self.how is End.COMMIT:
            self._producer.commit_transaction()
        elif self.how is End.ABORT:
            self._producer.abort_transaction()
