"""Lanes: threads that apply batches, each with its connection, so that one decodes while another waits for PostgreSQL.

A partition's batches all go through one lane, in order.

Promises: at most `DEPTH` batches wait in a lane (then `put` waits, Faust's buffers fill, and fetching pauses); after
`drain` none is being applied; the first error is told, and nothing is applied after it.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from streams.worker.applying import Applier
from streams.worker.partition import Partition

DEPTH = 2
OnError = Callable[[BaseException], None]
Task = Callable[[Applier], None]


class _Lane:
    """One thread, made with its connection at the first batch."""

    def __init__(self, number: int, make: Callable[[], Applier]) -> None:
        self._make = make
        self._applier: Applier | None = None
        self.room = asyncio.Semaphore(DEPTH)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"lane-{number}")
        self.busy_since: float | None = None

    def work(self, partition: Partition, task: Task) -> None:
        """Do one task, unless the partition was lost in the meantime."""
        if partition.lost:
            return
        self.busy_since = time.monotonic()
        if self._applier is None:
            self._applier = self._make()
        task(self._applier)
        self.busy_since = None

    def close(self) -> None:
        self.thread.shutdown(wait=True, cancel_futures=True)
        if self._applier is not None:
            self._applier.close()


class Lanes:
    """A fixed number of lanes."""

    def __init__(self, count: int, make: Callable[[], Applier], on_error: OnError) -> None:
        """Start nothing yet."""
        self._lanes = [_Lane(number, make) for number in range(count)]
        self._on_error = on_error
        self._pending: set[asyncio.Future[None]] = set()
        self._failed = threading.Event()

    async def put(self, partition: Partition, task: Task) -> None:
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

    def _done(self, lane: _Lane, done: "asyncio.Future[None]") -> None:
        self._pending.discard(done)
        lane.room.release()
        if not done.cancelled() and (error := done.exception()) is not None and not self._failed.is_set():
            self._failed.set()
            self._on_error(error)
