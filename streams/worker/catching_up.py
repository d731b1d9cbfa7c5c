"""Catching up: readers that are far behind are brought near the log's end in bulk, **apart** from those that are live.

They are read as a replay reads, from a bulk source of their own, one partition after the other, in **passes** that each
go to where the partitions ended when it began. Many fetched batches make one **step**, which is applied as every batch
is: one transaction of rows, journal and checkpoints, under the fence, with parking and `stop_at`. When the last pass of
every lane was short, whoever owns the partitions takes them anew, and what was apart goes on live from its checkpoints.

Promises: what is live waits for nobody who is apart; a lane has no more of the log in memory than one step and what the
bulk source fetches ahead; a step is halved when it took long, so that locks are short and a slow database is no
standstill; nothing is applied to a partition that was lost.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from schemas.position import Place
from streams.kafka.config import Kafka
from streams.replay.source import BulkSource
from streams.worker.duty import Duty, Hand
from streams.worker.lanes import OnError
from streams.worker.options import WorkerOptions
from streams.worker.partition import Partition

_LOG = logging.getLogger("kafold.worker")
NEAR_SHARE = 20  # a pass is short when what it went through is this part of what is far
FIRST_STEP_RECORDS = 10_000
STEP_RECORDS_MIN = 500
STEP_BYTES_MAX = 32 * 1024 * 1024
STEP_S_MAX = 4.0
PAUSE_S = 0.2
PREFETCHED_KB = 16 * 1024


class Record(NamedTuple):
    """One record of the log, with what a worker wants of it; librdkafka's own would hold on to its buffers."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Any


def next_size(records: int, seconds: float, records_max: int) -> int:
    """Return how many records the next step takes, after one that took so long."""
    if seconds > STEP_S_MAX:
        return max(records // 2, min(STEP_RECORDS_MIN, records_max))
    return min(records * 2, records_max) if seconds < STEP_S_MAX / 2 else records


class CatchUp:
    """The lanes that catch up. Its methods are called in the event loop, unless they say otherwise."""

    def __init__(self, kafka: Kafka, make: Callable[[], Hand], options: WorkerOptions, on_error: OnError) -> None:
        """Start nothing yet. `make` is called in each lane's thread, once for each time that it catches up."""
        self._kafka = kafka
        self._make = make
        self._options = options
        self._on_error = on_error
        self._threads = ThreadPoolExecutor(options.lanes, thread_name_prefix="catch-up")
        self._running: set[asyncio.Future[None]] = set()
        self._lanes: list[CatchUpLane] = []
        self._empty: dict[Place, tuple[int, int]] = {}

    def is_far(self, place: Place, at: int, end: int) -> bool:
        """Return whether a reader is so far behind a partition's end that it catches up."""
        begin, after = self._empty.get(place, (0, 0))
        return end - (after if at == begin else at) > self._options.behind_records_max

    def begin(self, duty: Duty, partitions: Sequence[Partition]) -> None:
        """Have these partitions caught up, whose readers nobody else folds."""
        for each in partitions:
            names = ", ".join(f"{reader.name} v{reader.version} at {at:,}" for reader, at in sorted(each.next.items()))
            _LOG.info("%s[%d]: far behind, so they catch up in bulk: %s", *each.place, names)
        ended, count = threading.Event(), self._options.lanes
        shares = [[each for each in partitions if each.number % count == lane] for lane in range(count)]
        self._lanes = [CatchUpLane(duty, share, self._options, ended) for share in shares if share]
        for lane in self._lanes:
            future = asyncio.wrap_future(self._threads.submit(self._run, lane, self._lanes))
            self._running.add(future)
            future.add_done_callback(self._done)

    @property
    def is_done(self) -> bool:
        """Whether all that it was given is near the log's end, as of the last pass."""
        return bool(self._lanes) and all(lane.is_near for lane in self._lanes)

    def settle(self, place: Place) -> None:
        """Have a partition settled that is being caught up, before its next step."""
        for lane in self._lanes:
            lane.asked.add(place)

    async def end(self) -> None:
        """Leave off. The partitions must be lost; what is being applied is finished."""
        if self.is_done:
            _LOG.info("what was far behind has caught up")
        for lane in self._lanes:
            lane.ended.set()
        while self._running:
            await asyncio.wait(self._running)
        for lane in self._lanes:
            self._empty |= lane.empty
        self._lanes = []

    def busy_s(self) -> float:
        """Return for how long the slowest lane has been at its step."""
        began = [lane.busy_since for lane in self._lanes if lane.busy_since is not None]
        return time.monotonic() - min(began) if began else 0.0

    def close(self) -> None:
        """Wait for what is being applied, and end the threads."""
        for lane in self._lanes:
            lane.ended.set()
        self._threads.shutdown(wait=True)

    def _run(self, lane: "CatchUpLane", lanes: Sequence["CatchUpLane"]) -> None:
        """Go through a lane's partitions again and again, until all lanes are near. In the lane's thread."""
        hand = self._make()
        try:
            with BulkSource(self._kafka, "catch-up", PREFETCHED_KB) as source:
                while not (lane.ended.is_set() or all(each.is_near for each in lanes)):
                    lane.go_through(source, hand)
                    if lane.is_near:  # and another one is not: keep near until it is
                        lane.ended.wait(PAUSE_S)
        finally:
            hand.close()

    def _done(self, future: "asyncio.Future[None]") -> None:
        self._running.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            self._on_error(error)


@dataclass
class CatchUpLane:
    """One lane's partitions, and how it is getting on. `empty`: where, from where and up to where there is nothing."""

    duty: Duty
    partitions: Sequence[Partition]
    options: WorkerOptions
    ended: threading.Event
    is_near: bool = False
    asked: set[Place] = field(default_factory=set)
    empty: dict[Place, tuple[int, int]] = field(default_factory=dict)
    busy_since: float | None = None

    def __post_init__(self) -> None:
        """Begin with a small step."""
        self._size = min(FIRST_STEP_RECORDS, self.options.bulk_records_max)

    def go_through(self, source: BulkSource, hand: Hand) -> None:
        """Make one pass. A reader that has to stop, or a lost partition, ends its partition's part of it."""
        work = [each for each in self.partitions if self._goes_on(each)]
        starts = {each.place: each.start for each in work}
        ends = {place: end for place, (_, end) in source.bounds(starts).items()}
        for each, following in zip_longest(work, work[1:]):
            then = None if following is None else (following.place, following.start)
            self._one(source, hand, each, ends[each.place], then)
        self._note(starts, ends)

    def _one(
        self, source: BulkSource, hand: Hand, partition: Partition, end: int, then: tuple[Place, int] | None
    ) -> None:
        """Bring one partition up to an offset, while the beginning of what comes `then` is fetched."""
        step: list[Record] = []
        size = 0
        for messages in source.batches(partition.place, partition.start, end, then):
            if not self._goes_on(partition):
                return
            step += [_record(each) for each in messages]
            size += sum(len(each.value or b"") for each in step[-len(messages) :])
            if len(step) >= self._size or size >= STEP_BYTES_MAX:
                self.apply(hand, partition, step)
                step, size = [], 0
        if step and self._goes_on(partition):
            self.apply(hand, partition, step)

    def apply(self, hand: Hand, partition: Partition, step: Sequence[Record]) -> None:
        """Apply one step."""
        self.busy_since = time.monotonic()
        if partition.place in self.asked:
            self.asked.discard(partition.place)
            hand.settle(partition)
        seconds = self.duty.apply(hand, partition, step)
        self._size = next_size(self._size, seconds, self.options.bulk_records_max)
        self.busy_since = None

    def _goes_on(self, partition: Partition) -> bool:
        return not (partition.lost or partition.held or self.ended.is_set())

    def _note(self, starts: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
        """See whether that was a short pass. Where nothing was read there is nothing, wherever Kafka says it ends."""
        reached = {each.place: each.start for each in self.partitions if self._goes_on(each)}
        still = {place: (at, ends[place]) for place, at in reached.items() if at == starts.get(place)}
        self.empty |= {place: stretch for place, stretch in still.items() if stretch[0] < stretch[1]}
        behind = sum(ends[place] - starts[place] for place in reached.keys() - still.keys())
        self.is_near = behind <= self.options.behind_records_max // NEAR_SHARE


def _record(message: Any) -> Record:
    return Record(message.offset(), message.key(), message.value(), message.timestamp()[1], message.headers())
