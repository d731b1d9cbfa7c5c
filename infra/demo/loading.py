"""Loading: sends commands and follows their outcomes until every one is answered.

Promises: done means decided, not sent; the position that comes out is that of the last event of every partition, so a
projection that has reached it shows everything that was loaded; loading again what is loaded gives the same.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.demo.cdnow import Identified
from infra.progress import processors_progress
from infra.waiting import wait_until
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
    """What was loaded. `statuses`: how many commands ended how; `position`: of their last events.

    `repeated`: how many had been answered by an earlier load, so that they change nothing.
    """

    commands: int
    repeated: int
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
    """Send the commands, and wait until each is answered and the processors have gone through all that was sent.

    Raises:
        NoAnswer: no outcome came for a minute.
    """
    with _Following(application, kafka, ids, {each.command_id for each in identified}) as following:
        repeated = following.catch_up()
        on_decided(repeated)
        began = time.monotonic()
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
        _await_processors(application, kafka)
        seconds = time.monotonic() - began
        return Loaded(len(identified), repeated, seconds, following.statuses, following.position())


def _await_processors(application: Application, kafka: Kafka) -> None:
    """Repeated commands get no second answer, so the processors' own progress is what can be waited for."""

    def through() -> bool:
        return not any(each.lag for each in processors_progress(application, kafka))

    if not wait_until(through, SILENCE_S_MAX):
        raise NoAnswer(f"the processors have not gone through the commands in {SILENCE_S_MAX:g} s: is one up?")


class _Following:
    """Reads the outcomes topics from their beginning, for the answers to some commands."""

    def __init__(self, application: Application, kafka: Kafka, ids: SchemaIds, unanswered: set[str]) -> None:
        self.unanswered = unanswered
        self.statuses: Counter[str] = Counter()
        self._kafka = kafka
        self._codecs = {each.topics.outcomes: each.outcome_codec(ids) for each in application.contracts}
        self._events = {each.topics.outcomes: each.topics.events for each in application.contracts}
        self._offsets: dict[tuple[str, int], int] = {}
        self._consumer = Consumer(kafka.consumer(group_id="kafold-loading", enable_partition_eof=True))
        self._behind: set[tuple[str, int]] = set()

    def __enter__(self) -> "_Following":
        known = self._consumer.list_topics(timeout=SILENCE_S_MAX).topics
        self._behind = {(topic, partition) for topic in self._codecs for partition in known[topic].partitions}
        self._consumer.assign([TopicPartition(*place, 0) for place in self._behind])
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close()

    def catch_up(self) -> int:
        """Read what is there already; return how many commands that answers."""
        answered = 0
        while self._behind:
            answered += self.read(SILENCE_S_MAX)
        return answered

    def read(self, timeout_s: float) -> int:
        """Take what is there, waiting for the first record; return how many commands it answers."""
        before = len(self.unanswered)
        first = self._consumer.poll(timeout_s)
        if first is None and timeout_s:
            raise NoAnswer(
                f"{len(self.unanswered):,} commands have had no answer for {timeout_s:g} s: is a processor up?"
            )
        for record in filter(None, [first, *self._consumer.consume(BATCH, 0)]):
            self._take(record)
        return before - len(self.unanswered)

    def position(self) -> Position:
        """Return the position after the last event of the answered commands."""
        topics: Iterable[str] = {topic for topic, _ in self._offsets}
        return Position(dict(self._offsets), topic_ids(self._kafka, topics))

    def _take(self, record: Message) -> None:
        place = str(record.topic()), int(record.partition() or 0)
        error = record.error()
        if error is None:
            self._note(*place, record.value() or b"")
        elif error.code() == KafkaError._PARTITION_EOF:
            self._behind.discard(place)
        else:
            raise KafkaException(error)

    def _note(self, topic: str, partition: int, value: bytes) -> None:
        outcome = self._codecs[topic].decode(value)
        if outcome.command_id not in self.unanswered:
            return
        self.unanswered.discard(outcome.command_id)
        self.statuses[outcome.status] += 1
        if outcome.offsets:
            place = self._events[topic], partition
            self._offsets[place] = max(self._offsets.get(place, 0), outcome.offsets[-1] + 1)
