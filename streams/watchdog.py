"""The watchdog: a thread that ends the process when its work cannot be trusted to end or to go on by itself.

After some rebalances Faust's fetcher dies without a word, and after a crash its shutdown may hang. A processor that
tells its offsets while the broker goes away may wait for ever (librdkafka's issue 5456). A part that does nothing holds
its partitions and looks alive, which is worse than one that is dead: its supervisor starts another.

Promises: a process whose work failed, or went round no more for `stall_s_max`, or waits for a call that should have
given up, or takes longer than `stop_s_max` to stop, is gone, and has said where it stood. Ending it anywhere is safe,
since what a worker or a processor does is one transaction.
"""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Protocol

EXIT_FAILED = 1
EXIT_STALLED = 70
TURN_S = 0.25
OVERDUE_S_MAX = 5.0


class Limits(Protocol):
    """For how long a part may stand still, and take to stop."""

    @property
    def stall_s_max(self) -> float:
        """While it runs."""
        ...

    @property
    def stop_s_max(self) -> float:
        """From when it was told to stop."""
        ...


class Watchdog:
    """Watches one part. `idle_s`: for how long it has not gone round; `busy_s`: how long one batch has taken.

    `overdue_s`: by how much a call has outlasted its own timeout, after which it is not believed to return.
    """

    def __init__(
        self,
        part: str,
        limits: Limits,
        idle_s: Callable[[], float],
        busy_s: Callable[[], float] = lambda: 0.0,
        overdue_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Take what to look at; `start` begins to look."""
        self._part = part
        self._limits = limits
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._overdue_s = overdue_s
        self._stopping_since: float | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()

    @property
    def error(self) -> BaseException | None:
        """Why the work failed."""
        return self._error

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def failed(self, error: BaseException) -> None:
        """Note that the work failed and is being stopped."""
        self._error = self._error or error
        self.stopping()

    def stopping(self) -> None:
        """Note that the work is being stopped."""
        self._stopping_since = self._stopping_since or time.monotonic()

    def done(self) -> None:
        """Note that the work has ended."""
        self._done.set()

    def verdict(self, now: float) -> str | None:
        """Return why the process must end, or None."""
        if self._stopping_since is not None:
            late = now - self._stopping_since > self._limits.stop_s_max
            return f"it did not stop within {self._limits.stop_s_max:g} s" if late else None
        if self._idle_s() > self._limits.stall_s_max:
            return f"it has not gone round for {self._idle_s():.0f} s"
        if self._busy_s() > self._limits.stall_s_max:
            return f"one batch has taken {self._busy_s():.0f} s"
        if self._overdue_s() > OVERDUE_S_MAX:
            return f"a call is {self._overdue_s():.0f} s beyond its timeout"
        return None

    def _watch(self) -> None:
        while not self._done.wait(TURN_S):
            verdict = self.verdict(time.monotonic())
            if verdict is not None:
                log = logging.getLogger(f"kafold.{self._part}")
                log.error("the %s is ended: %s. It stood here:\n%s", self._part, verdict, standing())
                os._exit(EXIT_FAILED if self._error else EXIT_STALLED)


def standing() -> str:
    """Return where each thread of this process stands, but for the one that asks."""
    names = {each.ident: each.name for each in threading.enumerate()}
    return "".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - the documented way; no public one
        if ident != threading.get_ident()
    )
