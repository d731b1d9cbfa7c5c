"""Lag: how far a part is behind on each partition that it owns, in offsets and in seconds, and whether it keeps up.

The offsets are those that wait. The seconds are the age of the newest record that is done with, but no more than the
time since nothing waited at all: an upper bound of how late the oldest waiting record is.

Promises: pure, the clock is handed in; nothing waits: both are 0.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from schemas.position import Place

KEEPS_UP_S_MAX = 30.0
TURN_S_MAX = 10.0


class Lag(NamedTuple):
    """How far behind a partition is."""

    place: Place
    offsets: int
    seconds: float


Look = Callable[[], Iterable[Lag]]


class LagClock:
    """Remembers when each partition was last caught up."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._caught_up: dict[Place, float] = {}

    def lag(self, place: Place, offsets: int, newest_s: float | None, now_s: float) -> Lag:
        """Return a partition's lag. `newest_s`: when the newest record that is done with was written, if one is."""
        if offsets <= 0:
            self._caught_up[place] = now_s
            return Lag(place, 0, 0.0)
        since = self._caught_up.setdefault(place, now_s) if newest_s is None else self._caught_up.get(place, newest_s)
        return Lag(place, offsets, max(0.0, now_s - max(since, newest_s or since)))


class Health(NamedTuple):
    """Whether a part owns its partitions and keeps up; `reason`: why not, or what else there is to say."""

    ready: bool
    reason: str
    partitions: int
    lag_offsets: int
    lag_seconds: float


def judge(lags: Iterable[Lag], *, joined: bool, recovering: int, idle_s: float) -> Health:
    """Return a part's health.

    Args:
        lags: of what it owns.
        joined: whether its group has told it what it owns; that may be nothing, when others have it all.
        recovering: how many partitions it was given and does not work on yet.
        idle_s: for how long its loop has not gone round.
    """
    found = list(lags)
    offsets, seconds = sum(each.offsets for each in found), max((each.seconds for each in found), default=0.0)
    reason = "owns its partitions and keeps up" if found else "stands by: others own all partitions"
    obstacles = [
        (not joined, "waits for its partitions"),
        (recovering > 0, f"recovers {recovering} partitions"),
        (idle_s > TURN_S_MAX, f"has not gone round for {idle_s:.0f} s"),
        (seconds > KEEPS_UP_S_MAX, f"is {seconds:.0f} s and {offsets:,} records behind"),
    ]
    hindered = [text for holds, text in obstacles if holds]
    return Health(not hindered, hindered[0] if hindered else reason, len(found), offsets, round(seconds, 3))
