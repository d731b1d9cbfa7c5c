"""Watched: what a worker tells of itself, in metrics and health, over Faust's own web server.

Promises: it is told of batches, not of events; what it is asked is answered in the event loop, without asking Kafka.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from schemas.position import Place
from streams.postgres.connection import connect
from streams.postgres.parking import count_keys
from streams.watching import spans
from streams.watching.lag import Health, Lag, LagClock, judge
from streams.watching.metrics import Metrics, Part
from streams.worker.partition import Partition
from streams.worker.reading import Fetched, Reading

PARKED_S = 15.0


class Watched:
    """The eyes of one worker."""

    def __init__(self, reading: Reading) -> None:
        """Take what to look at."""
        self.metrics = Metrics(Part.WORKER, self.lags)
        self._reading = reading
        self._clock = LagClock()
        self._newest_s: dict[Place, float] = {}

    def applied(self, duty: str, partition: Partition, records: Sequence[Any], seconds: float) -> None:
        """Count a batch that a duty has applied. Called in the lanes' threads."""
        self.metrics.observe("batch_events", len(records), duty)
        self.metrics.observe("transaction_seconds", seconds, duty)
        self._newest_s[partition.topic, partition.number] = records[-1].timestamp / 1000
        if spans.is_on():
            spans.project_spans(duty, partition.topic, partition.number, records, seconds)

    async def count_parked(self, dsn: str, application: str) -> None:
        """Ask the database how many keys the events of its partitions have parked."""
        owned = [*{**self._reading.partitions, **self._reading.apart}]

        def ask() -> list[tuple[str, int]]:
            with connect(dsn, "worker parked keys") as connection:
                return count_keys(connection, application, owned)

        self.metrics.put("parked_keys", await asyncio.to_thread(ask))

    def lags(self) -> list[Lag]:
        """Return how far behind each partition is."""
        # Not what is only counted.
        near = {place: duties for place, duties in self._reading.partitions.items() if duties}
        apart = dict(self._reading.apart)
        owned = {place: [*near.get(place, {}).values()] for place in {**near, **apart}}
        fetched, now_s = self._reading.fetching(owned), time.time()
        return [
            self._lag(place, duties, apart.get(place), fetched.get(place), now_s) for place, duties in owned.items()
        ]

    def health(self) -> Health:
        """Return whether the worker owns its partitions and keeps up."""
        idle_s = time.monotonic() - self._reading.turned_at
        return judge(self.lags(), joined=self._reading.joined, recovering=0, idle_s=idle_s)

    def _lag(
        self, place: Place, duties: Sequence[Partition], apart: Partition | None, fetched: Fetched | None, now_s: float
    ) -> Lag:
        at = min((each.done for each in duties), default=0)
        if apart is not None:
            end = self._reading.ends[place] if fetched is None else fetched.end
            waiting = max(0, end - apart.done)
        elif fetched is None:
            waiting = 0
        elif fetched.position >= fetched.end and at >= self._reading.handed.get(place, 0):
            waiting = 0  # what is behind the last event are transactions' markers
        else:
            waiting = max(0, fetched.end - at)
        return self._clock.lag(place, waiting, self._newest_s.get(place), now_s)
