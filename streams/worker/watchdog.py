"""The watchdog: a thread that ends the process when the worker cannot be trusted to end or to go on by itself.

After some rebalances Faust's fetcher dies without a word, and after a crash its shutdown may hang. A worker that does
nothing holds its partitions and looks alive, which is worse than one that is dead: its supervisor starts another.

Promises: a process whose worker failed, or went round no more for `stall_s_max`, or takes longer than `stop_s_max` to
stop, is gone. Ending it anywhere is safe, since rows and checkpoint are one transaction.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from streams.worker.options import WorkerOptions

_LOG = logging.getLogger("kafold.worker")
EXIT_FAILED = 1
EXIT_STALLED = 70
TURN_S = 0.25


class Watchdog:
    """Watches one worker. `idle_s`: for how long it has not gone round; `busy_s`: how long one batch has taken."""

    def __init__(self, options: WorkerOptions, idle_s: Callable[[], float], busy_s: Callable[[], float]) -> None:
        """Take what to look at; `start` begins to look."""
        self._options = options
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._stopping_since: float | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()

    @property
    def error(self) -> BaseException | None:
        """Why the worker failed."""
        return self._error

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def failed(self, error: BaseException) -> None:
        """Note that the worker failed and is being stopped."""
        self._error = self._error or error
        self.stopping()

    def stopping(self) -> None:
        """Note that the worker is being stopped."""
        self._stopping_since = self._stopping_since or time.monotonic()

    def done(self) -> None:
        """Note that the worker has ended."""
        self._done.set()

    def verdict(self, now: float) -> str | None:
        """Return why the process must end, or None."""
        if self._stopping_since is not None:
            late = now - self._stopping_since > self._options.stop_s_max
            return f"it did not stop within {self._options.stop_s_max:g} s" if late else None
        if self._idle_s() > self._options.stall_s_max:
            return f"it fetched nothing, not even nothing, for {self._idle_s():.0f} s"
        if self._busy_s() > self._options.stall_s_max:
            return f"one batch has taken {self._busy_s():.0f} s"
        return None

    def _watch(self) -> None:
        while not self._done.wait(TURN_S):
            verdict = self.verdict(time.monotonic())
            if verdict is not None:
                _LOG.error("the worker is ended: %s", verdict)
                os._exit(EXIT_FAILED if self._error else EXIT_STALLED)
