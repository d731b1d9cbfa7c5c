"""Waiting for a condition: the only way in which a test lets time pass."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0, pause_s: float = 0.02) -> None:
    """Return as soon as the condition holds, or fail saying what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(pause_s)
