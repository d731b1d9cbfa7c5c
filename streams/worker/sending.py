"""Sending: the port through which a process manager's commands leave. Replay has none, so it sends nothing.

Promises: when `send` returns, Kafka has acknowledged every command; otherwise it raises, and nobody takes them as sent.
"""

from collections.abc import Sequence
from typing import Protocol

from confluent_kafka import KafkaError, Message, Producer

from streams.kafka.config import Kafka
from streams.kernel.errors import SendFailed
from streams.postgres.outbox import Outgoing

SEND_S_MAX = 10.0


class Send(Protocol):
    """Sends commands, in order, and waits until they are acknowledged."""

    def __call__(self, commands: Sequence[Outgoing]) -> None:
        """Send them.

        Raises:
            SendFailed: not every one was acknowledged in time.
        """
        ...


class Sender:
    """Sends to Kafka, with the partitioner that places aggregates."""

    def __init__(self, kafka: Kafka) -> None:
        """Make the producer, which connects when it is first used."""
        self._producer = Producer(kafka.producer(message_timeout_ms=int(SEND_S_MAX * 1000)))
        self._problems: list[str] = []

    def __call__(self, commands: Sequence[Outgoing]) -> None:
        """Send them.

        Raises:
            SendFailed: not every one was acknowledged in time.
        """
        self._problems = []
        for command in commands:
            self._produce(command)
        left = self._producer.flush(SEND_S_MAX * 1.5)
        if left or self._problems:
            why = self._problems[0] if self._problems else "no answer in time"
            raise SendFailed(f"Kafka did not take {left + len(self._problems)} of {len(commands)} commands: {why}")

    def _produce(self, command: Outgoing) -> None:
        while True:
            try:
                self._producer.produce(command.send_to, command.data, command.message_key, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: deliveries make room

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._problems.append(error.str())
