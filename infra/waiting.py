"""Waiting: asking for a condition until it holds or a deadline passes.

Everything that starts another process needs it: the only thing known is how to ask, not when the answer comes.
"""

import time
from collections.abc import Callable

POLL_INTERVAL_S = 0.05


def wait_until(condition: Callable[[], bool], timeout_s: float, interval_s: float = POLL_INTERVAL_S) -> bool:
    """Ask ``condition`` until it is true; false when ``timeout_s`` passed first. Blocks the calling thread."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_s)
    return True
