"""Garbage collection off the hot path.

What a processor keeps (states, outcomes) and what a replay keeps (rows) has no cycles, but Python's collector walks all
of it again and again while more of it is made: measured, a third of the throughput. So it is off while there is work,
and runs when there is none.

Promises: what one pass has seen is not walked again (`gc.freeze`), and whoever is never idle still collects every
minute.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

IDLE_INTERVAL_S = 10.0
BUSY_INTERVAL_S = 60.0


class Garbage:
    """Decides when to collect; ask it once a turn."""

    def __init__(self) -> None:
        """Count from now."""
        self._last_s = time.monotonic()

    def maybe_collect(self, *, idle: bool) -> None:
        """Collect if it is time."""
        if time.monotonic() - self._last_s > (IDLE_INTERVAL_S if idle else BUSY_INTERVAL_S):
            gc.collect()
            gc.freeze()
            self._last_s = time.monotonic()


@contextmanager
def collected_by_hand() -> Iterator[Garbage]:
    """Turn automatic collection off for the block."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield Garbage()
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
