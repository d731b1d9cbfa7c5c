"""A meeting: two versions of a projection brought to the same position, whoever folds them and wherever.

Partition by partition, both checkpoints are locked and told to stop at the further of the two. Who folds a version sees
that in the very statement that moves its checkpoint, so the one ahead stays and the other one catches up.

Promises: nobody waits longer than told; what was told to stop goes on when the block ends, however it ends: after a
crash at the latest when the lease runs out (`LEASE_S`).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from schemas.position import Place, Position
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Connection
from streams.replay.errors import NotFolded

LEASE_S = 15.0
POLL_S = 0.02
RENEW_S = 1.0

_PLACES = """
SELECT DISTINCT topic, partition FROM kafold.checkpoints
WHERE application = %s AND projection = %s AND version = ANY(%s) ORDER BY topic, partition
"""
# In the order in which workers lock them: the version, within a partition.
_LOCK = """
SELECT version, next, topic_id FROM kafold.checkpoints
WHERE application = %s AND projection = %s AND version = ANY(%s) AND topic = %s AND partition = %s
ORDER BY version FOR UPDATE
"""
_STOP = """
UPDATE kafold.checkpoints SET stop_at = %s, stop_until = clock_timestamp() + make_interval(secs => %s)
WHERE application = %s AND projection = %s AND version = ANY(%s) AND topic = %s AND partition = %s
"""
_RENEW = """
UPDATE kafold.checkpoints SET stop_until = clock_timestamp() + make_interval(secs => %s)
WHERE application = %s AND projection = %s AND version = ANY(%s)
"""
_GO_ON = """
UPDATE kafold.checkpoints SET stop_at = NULL, stop_until = NULL
WHERE application = %s AND projection = %s AND version = ANY(%s)
"""
_WHERE = """
SELECT version, topic, partition, next FROM kafold.checkpoints
WHERE application = %s AND projection = %s AND version = ANY(%s)
"""


class Meeting(NamedTuple):
    """Two versions at one position."""

    connection: Connection
    application: str
    one: Reader
    two: Reader
    position: Position

    def still_holds(self, connection: Connection) -> bool:
        """Return whether both are there still, as this connection's transaction sees it."""
        return not _missing(_where(connection, self.application, self.one, self.two), self.position, exactly=True)

    def renew(self) -> None:
        """Keep both where they are for a while longer."""
        self.connection.execute(_RENEW, [LEASE_S, *_names(self.application, self.one, self.two)])

    def end(self) -> None:
        """Let both go on."""
        self.connection.execute(_GO_ON, _names(self.application, self.one, self.two))


@contextmanager
def meeting(connection: Connection, application: str, one: Reader, two: Reader, timeout_s: float) -> Iterator[Meeting]:
    """Both versions at the same position, for the block's duration or until the meeting's `end`.

    Raises:
        NotFolded: one of them has not come to the other's position in time.
    """
    try:
        met = Meeting(connection, application, one, two, _stop(connection, application, one, two))
        _wait(met, timeout_s)
        yield met
    finally:
        if not connection.closed:
            connection.execute(_GO_ON, _names(application, one, two))


def _names(application: str, one: Reader, two: Reader) -> list[object]:
    return [application, one.name, [one.version, two.version]]


def _stop(connection: Connection, application: str, one: Reader, two: Reader) -> Position:
    names = _names(application, one, two)
    offsets: dict[Place, int] = {}
    topic_ids: dict[str, str] = {}
    for topic, partition in connection.execute(_PLACES, names).fetchall():
        with connection.transaction():
            found = connection.execute(_LOCK, [*names, topic, partition]).fetchall()
            if len(found) < 2:
                raise NotFolded(
                    f"of {one.name} v{one.version} and v{two.version} only v{found[0][0]} has begun "
                    f"{topic}[{partition}]: start a worker whose code defines the other"
                )
            offsets[topic, partition], topic_ids[topic] = max(each[1] for each in found), found[0][2]
            connection.execute(_STOP, [offsets[topic, partition], LEASE_S, *names, topic, partition])
    return Position(offsets, topic_ids)


def _wait(met: Meeting, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    renewed = time.monotonic()
    while missing := _missing(_where(met.connection, met.application, met.one, met.two), met.position):
        if time.monotonic() > deadline:
            raise NotFolded(_late(met, missing[0], timeout_s))
        if time.monotonic() - renewed > RENEW_S:
            met.renew()
            renewed = time.monotonic()
        time.sleep(POLL_S)


def _late(met: Meeting, missing: tuple[int, Place, int], timeout_s: float) -> str:
    version, (topic, partition), at = missing
    name, goal = met.one.name, met.position.offsets[topic, partition]
    return (
        f"{name} v{version} stays at {topic}[{partition}]={at} for {timeout_s:g} s, the other version is at {goal}: "
        f"nobody folds it, or not fast enough. Start a worker whose code defines v{version} (`kafold worker --only "
        f"{name}@{version}` folds nothing else), or give it more --timeout-s"
    )


def _where(connection: Connection, application: str, one: Reader, two: Reader) -> Sequence[tuple[int, Place, int]]:
    found = connection.execute(_WHERE, _names(application, one, two)).fetchall()
    return [(version, (topic, partition), at) for version, topic, partition, at in found]


def _missing(
    where: Sequence[tuple[int, Place, int]], goal: Position, *, exactly: bool = False
) -> list[tuple[int, Place, int]]:
    """Return the checkpoints that are before the goal, or anywhere else than at it."""
    return [
        (version, place, at)
        for version, place, at in where
        if at < goal.offsets.get(place, 0) or (exactly and at != goal.offsets.get(place, 0))
    ]
