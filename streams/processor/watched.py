"""Watched: what a command processor tells of itself, in metrics and health.

Promises: it is told of batches, not of commands; what it is asked is answered from any thread, and nothing that the
processor does waits for it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.outcomes import Status, problem_name
from schemas.position import Place
from streams.kernel.processing import Decision
from streams.watching.lag import Health, Lag, LagClock, judge
from streams.watching.metrics import Metrics, Part

# How many of a batch's last records are looked at for the newest of each partition.
NEWEST_LOOKED_AT = 200
_STATUS, _PROBLEM = attrgetter("outcome.status"), attrgetter("outcome.problem")


class Watched:
    """The eyes of one processor."""

    def __init__(self) -> None:
        """See nothing yet."""
        self.metrics = Metrics(Part.PROCESSOR, self.lags)
        self._clock = LagClock()
        self._newest_s: dict[Place, float] = {}
        self._positions: Callable[[], dict[Place, int]] = dict
        self._recovering: Callable[[], int] = lambda: 0
        self._overdue_s: Callable[[], float] = lambda: 0.0
        self._consumer: Consumer | None = None
        self._joined = False
        self._turned_at = time.monotonic()

    def watch(
        self,
        consumer: Consumer,
        positions: Callable[[], dict[Place, int]],
        recovering: Callable[[], int],
        overdue_s: Callable[[], float],
    ) -> None:
        """Begin to look at a processor: its consumer, the next offset of what it owns, and what it does not yet.

        `overdue_s`: what `overdue_s` is to return.
        """
        self._consumer, self._positions, self._recovering = consumer, positions, recovering
        self._overdue_s = overdue_s

    def turned(self) -> None:
        """Say that the processor's loop goes round."""
        self._turned_at = time.monotonic()

    def idle_s(self) -> float:
        """Return for how long the processor's loop has not gone round."""
        return time.monotonic() - self._turned_at

    def overdue_s(self) -> float:
        """Return by how much a call of the processor's transactions has outlasted its timeout."""
        return self._overdue_s()

    def joined(self) -> None:
        """Say that the group has told the processor what it owns."""
        self._joined = True

    def undone(self, reason: str) -> None:
        """Count a transaction that was not committed."""
        self.metrics.count("undone_total", 1, reason)

    def committed(self, records: Sequence[Message], count: int, seconds: float, parts: Iterable[Any]) -> None:
        """Count a batch, which has committed. `parts`: the batch's."""
        self.metrics.observe("batch_commands", count)
        self.metrics.observe("transaction_seconds", seconds)
        for record in records[: -NEWEST_LOOKED_AT - 1 : -1]:
            place, written_s = (record.topic(), record.partition()), record.timestamp()[1] / 1000
            self._newest_s[place] = max(self._newest_s.get(place, 0.0), written_s)
        for part in parts:
            self._count(part.owned.lane.aggregate.name, part)

    def snapshots(self, aggregate: str, number: int) -> None:
        """Count snapshots, which have committed."""
        self.metrics.count("snapshots_total", number, aggregate)

    def _count(self, aggregate: str, part: Any) -> None:
        decisions = [answer for _, answer in part.answers if type(answer) is Decision]
        statuses = Counter(map(_STATUS, decisions))
        if again := len(part.answers) - len(decisions):
            statuses["repeated"] = again
        for status, number in statuses.items():
            self.metrics.count("commands_total", number, aggregate, status)
        if statuses[Status.REJECTED]:
            for problem, number in Counter(map(_PROBLEM, decisions)).items():
                if problem is not None:
                    self.metrics.count("rejections_total", number, aggregate, problem_name(problem))
        if part.dead_letters:
            self.metrics.count("dead_letters_total", len(part.dead_letters), aggregate)

    def lags(self) -> list[Lag]:
        """Return how far behind each partition is."""
        return [self._lag(place, at, time.time()) for place, at in self._positions().items()]

    def health(self) -> Health:
        """Return whether the processor owns its partitions and keeps up."""
        return judge(self.lags(), joined=self._joined, recovering=self._recovering(), idle_s=self.idle_s())

    def _lag(self, place: Place, at: int, now_s: float) -> Lag:
        end = at
        if self._consumer is not None:
            try:
                # As of the last fetch: nothing is asked of the cluster.
                _, end = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            except (KafkaException, RuntimeError):  # just revoked, or closed
                end = at
        return self._clock.lag(place, end - at, self._newest_s.get(place), now_s)
