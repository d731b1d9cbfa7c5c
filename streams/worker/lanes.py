"""Lanes: threads that apply batches, each with its connection, so that one decodes while another waits for PostgreSQL.

A partition's batches all go through one lane, in order.

Promises: at most `DEPTH` batches wait in a lane (then `put` waits, Faust's buffers fill, and fetching pauses); after
`drain` none is being applied; the first error is told, and nothing is applied after it.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from streams.worker.partition import Partition

DEPTH = 2
# How long a thread may keep Python's lock while others want it, in seconds. A lane asks for it again after each of the
# five answers that a small batch has from PostgreSQL, and with Python's own 5 ms it waited longer for the lock than for
# the answers: from outcome to row 64 ms, with this 55. Large batches lose 7 % of their speed by it.
SWITCH_S, SWITCH_LARGE_S = 0.0005, 0.005
LARGE_RECORDS = 1_000
OnError = Callable[[BaseException], None]


def share_python(records: int) -> None:
    """Have threads take turns as suits a batch of so many records."""
    sys.setswitchinterval(SWITCH_LARGE_S if records >= LARGE_RECORDS else SWITCH_S)


class Closable(Protocol):
    """Who does a lane's tasks."""

    def close(self) -> None:
        """Let go of everything."""
        ...


H = TypeVar("H", bound=Closable)


class _Lane(Generic[H]):
    """One thread; who does its tasks is made at the first one."""

    def __init__(self, name: str, make: Callable[[], H]) -> None:
        self._make = make
        self._hand: H | None = None
        self.room = asyncio.Semaphore(DEPTH)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.busy_since: float | None = None

    def work(self, partition: Partition, task: Callable[[H], object]) -> None:
        """Do one task, unless the partition was lost in the meantime."""
        if partition.lost:
            return
        self.busy_since = time.monotonic()
        if self._hand is None:
            self._hand = self._make()
        task(self._hand)
        self.busy_since = None

    def close(self) -> None:
        self.thread.shutdown(wait=True, cancel_futures=True)
        if self._hand is not None:
            self._hand.close()


class Lanes(Generic[H]):
    """A fixed number of lanes."""

    def __init__(self, name: str, count: int, make: Callable[[], H], on_error: OnError) -> None:
        """Start nothing yet. `make` is called in each lane's thread."""
        self._lanes = [_Lane(f"{name}-lane-{number}", make) for number in range(count)]
        self._on_error = on_error
        self._pending: set[asyncio.Future[None]] = set()
        self._failed = threading.Event()

    async def put(self, partition: Partition, task: Callable[[H], object]) -> None:
        """Have something done to a partition, after what was put before, when there is room for it."""
        lane = self._lanes[partition.number % len(self._lanes)]
        await lane.room.acquire()
        if self._failed.is_set() or partition.lost:
            lane.room.release()
            return
        future = asyncio.wrap_future(lane.thread.submit(lane.work, partition, task))
        self._pending.add(future)
        future.add_done_callback(lambda done: self._done(lane, done))

    async def drain(self) -> None:
        """Wait until no batch is being applied."""
        while self._pending:
            await asyncio.wait(self._pending)

    def busy_s(self) -> float:
        """Return for how long the slowest lane has been at its batch."""
        began = [lane.busy_since for lane in self._lanes if lane.busy_since is not None]
        return time.monotonic() - min(began) if began else 0.0

    def close(self) -> None:
        """Wait for what is being applied, and close the connections."""
        for lane in self._lanes:
            lane.close()

    def _done(self, lane: _Lane[H], done: "asyncio.Future[None]") -> None:
        self._pending.discard(done)
        lane.room.release()
        if not done.cancelled() and (error := done.exception()) is not None and not self._failed.is_set():
            self._failed.set()
            self._on_error(error)
