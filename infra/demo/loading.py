"""Loading: sends commands and follows their outcomes until every one is answered.

Promises: done means decided, not sent; the position that comes out is that of the last event of every partition, so a
projection that has reached it shows everything that was loaded; loading again what is loaded gives the same.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from infra.demo.cdnow import Identified
from producers.client import Client
from schemas.errors import KafoldError
from schemas.position import Position
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kafka.topics import topic_ids
from streams.kernel.application import Application

BATCH = 2_000
SILENCE_S_MAX = 60.0
LINGER_MS = 10
OnCount = Callable[[int], None]


class NoAnswer(KafoldError):
    """Commands stay unanswered. Is a processor running? Its log in the home's logs folder says more."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded. `statuses`: how many commands ended how; `position`: of their last events."""

    commands: int
    seconds: float
    statuses: Counter[str]
    position: Position


def load(
    application: Application,
    kafka: Kafka,
    ids: SchemaIds,
    identified: Collection[Identified],
    on_sent: OnCount,
    on_decided: OnCount,
) -> Loaded:
    """Send the commands, and wait until each is answered.

    Raises:
        NoAnswer: no outcome came for a minute.
    """
    began = time.monotonic()
    with _Following(application, kafka, ids, {each.command_id for each in identified}) as following:
        with Client(application.contracts, kafka, ids, linger_ms=LINGER_MS) as client:
            for count, each in enumerate(identified, 1):
                client.send(each.command, command_id=each.command_id)
                if count % BATCH == 0:
                    on_sent(BATCH)
                    on_decided(following.read(0))
            client.flush()
            on_sent(len(identified) % BATCH)
        while following.unanswered:
            on_decided(following.read(SILENCE_S_MAX))
        return Loaded(len(identified), time.monotonic() - began, following.statuses, following.position())


class _Following:
    """Reads the outcomes topics from their beginning, for the answers to some commands."""

    def __init__(self, application: Application, kafka: Kafka, ids: SchemaIds, unanswered: set[str]) -> None:
        self.unanswered = unanswered
        self.statuses: Counter[str] = Counter()
        self._kafka = kafka
        self._codecs = {each.topics.outcomes: each.outcome_codec(ids) for each in application.contracts}
        self._events = {each.topics.outcomes: each.topics.events for each in application.contracts}
        self._offsets: dict[tuple[str, int], int] = {}
        self._consumer = Consumer(kafka.consumer(group_id="kafold-loading"))

    def __enter__(self) -> "_Following":
        known = self._consumer.list_topics(timeout=SILENCE_S_MAX).topics
        self._consumer.assign(
            [TopicPartition(topic, partition, 0) for topic in self._codecs for partition in known[topic].partitions]
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close()

    def read(self, timeout_s: float) -> int:
        """Take what is there, waiting for the first record; return how many commands it answers."""
        before = len(self.unanswered)
        first = self._consumer.poll(timeout_s)
        if first is None and timeout_s:
            raise NoAnswer(
                f"{len(self.unanswered):,} commands have had no answer for {timeout_s:g} s: is a processor up?"
            )
        for record in filter(None, [first, *self._consumer.consume(BATCH, 0)]):
            if record.error() is not None:
                raise KafkaException(record.error())
            self._note(str(record.topic()), int(record.partition() or 0), record.value() or b"")
        return before - len(self.unanswered)

    def position(self) -> Position:
        """Return the position after the last event of the answered commands."""
        topics: Iterable[str] = {topic for topic, _ in self._offsets}
        return Position(dict(self._offsets), topic_ids(self._kafka, topics))

    def _note(self, topic: str, partition: int, value: bytes) -> None:
        outcome = self._codecs[topic].decode(value)
        if outcome.command_id not in self.unanswered:
            return
        self.unanswered.discard(outcome.command_id)
        self.statuses[outcome.status] += 1
        if outcome.offsets:
            place = self._events[topic], partition
            self._offsets[place] = max(self._offsets.get(place, 0), outcome.offsets[-1] + 1)
