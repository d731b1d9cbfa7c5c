"""Checkpoints: the position of each reader of the log, stored in the same transaction as what it wrote.

A **reader** is one version of a projection, or the journal. Its checkpoint on a topic's partition is the next offset
that it will fold, with the topic's UUID.

Promises: a checkpoint moves only from where its owner last left it (the **fence**), so of two workers that both think
they own a partition one writes and the other is refused; no worker moves one past its `stop_at`; it never speaks of
another topic of the same name.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from schemas.errors import InvalidPosition
from schemas.position import Place, Position
from streams.postgres.connection import Connection, Cursor, connect

POLL_S_MIN = 0.002
POLL_S_MAX = 0.05

ConnectionT = TypeVar("ConnectionT")


class Reader(NamedTuple):
    """Who has a checkpoint: one version of a projection, or the journal (whose name no projection can have)."""

    name: str
    version: int


JOURNAL = Reader("(journal)", 1)


class Move(NamedTuple):
    """One checkpoint's step, from where its owner last left it."""

    reader: Reader
    expected: int
    next: int


class Reached(Enum):
    """The answer to waiting for a position."""

    YES = "reached"
    PARKED = "reached, but parked"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Waited:
    """How waiting ended, and at which position the projection was then."""

    reached: Reached
    position: Position

    def __str__(self) -> str:
        """Return the answer as one line."""
        return f"{self.reached.value} at {self.position}" if self.reached is Reached.STALE else self.reached.value


# Locked in one order by everyone: reader, then version.
# LEAST passes over a null: there is no place to stop at, or nobody wants it any more.
_ADVANCE = """
WITH moves AS (
    SELECT * FROM unnest(%(names)s::text[], %(versions)s::int[], %(expected)s::bigint[], %(next)s::bigint[])
        AS move (projection, version, expected, next)
), locked AS (
    SELECT c.projection, c.version, m.next
    FROM kafold.checkpoints c JOIN moves m USING (projection, version)
    WHERE c.application = %(application)s AND c.topic = %(topic)s AND c.partition = %(partition)s
        AND c.topic_id = %(topic_id)s AND c.next = m.expected
    ORDER BY c.projection, c.version
    FOR UPDATE OF c
)
UPDATE kafold.checkpoints c SET updated_at = clock_timestamp(),
    next = greatest(c.next, least(locked.next, CASE WHEN c.stop_until > clock_timestamp() THEN c.stop_at END))
FROM locked
WHERE c.application = %(application)s AND c.topic = %(topic)s AND c.partition = %(partition)s
    AND c.projection = locked.projection AND c.version = locked.version
RETURNING c.projection, c.version, c.next
"""

# Places where somebody has a reader stop.
_STOPPED = """
SELECT projection, version, topic, partition FROM kafold.checkpoints
WHERE application = %s AND stop_until > clock_timestamp()
"""

_STANDING = f"{_STOPPED} AND next >= stop_at"

_CREATE = """
INSERT INTO kafold.checkpoints (application, projection, version, topic, partition, topic_id)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_READ = """
SELECT next, topic_id FROM kafold.checkpoints
WHERE application = %s AND projection = %s AND version = %s AND topic = %s AND partition = %s
"""

_POSITION = """
SELECT topic, partition, next, topic_id FROM kafold.positions
WHERE application = %s AND projection = %s AND live
"""

_PARKED = "SELECT EXISTS (SELECT FROM kafold.parked_keys WHERE application = %s AND projection = %s AND key = %s)"


def move(cursor: Cursor, application: str, topic: str, partition: int, topic_id: str, moves: Iterable[Move]) -> bool:
    """Move the checkpoints of one partition; False: not all are where their owner left them, so it is not the owner."""
    return advance(cursor, application, topic, partition, topic_id, moves) is not None


def advance(
    cursor: Cursor, application: str, topic: str, partition: int, topic_id: str, moves: Iterable[Move]
) -> dict[Reader, int] | None:
    """Move as `move` does, but no further than a reader's `stop_at`; return where each is then. None: not the owner."""
    wanted = sorted(moves)
    found = cursor.execute(
        _ADVANCE,
        {
            "application": application,
            "topic": topic,
            "partition": partition,
            "topic_id": topic_id,
            "names": [each.reader.name for each in wanted],
            "versions": [each.reader.version for each in wanted],
            "expected": [each.expected for each in wanted],
            "next": [each.next for each in wanted],
        },
    ).fetchall()
    return {Reader(name, version): at for name, version, at in found} if len(found) == len(wanted) else None


def take(
    cursor: Cursor, application: str, topic: str, partition: int, topic_id: str, readers: Iterable[Reader]
) -> dict[Reader, int]:
    """Return the readers' checkpoints on a partition, made at 0 where there is none yet.

    Those that are there are only read: to insert them in vain could mean to wait for whoever is about to move them.

    Raises:
        InvalidPosition: a checkpoint is of another topic of the same name.
    """
    found = {}
    for reader in sorted(readers):
        known = cursor.execute(_READ, [application, *reader, topic, partition]).fetchone()
        if known is None:
            cursor.execute(_CREATE, [application, *reader, topic, partition, topic_id])
            known = cursor.execute(_READ, [application, *reader, topic, partition]).fetchone()
        next_offset, known_id = known or (0, topic_id)
        if known_id != topic_id:
            raise InvalidPosition(
                f"the checkpoint of {reader.name} v{reader.version} is of another topic named {topic} (UUID "
                f"{known_id}, now {topic_id}), which was since made again: restore the topic, "
                "or start anew in an empty database"
            )
        found[reader] = next_offset
    return found


def stopped(connection: Connection, application: str) -> set[tuple[Reader, Place]]:
    """Return which readers have to stop somewhere now, each with the partition."""
    return _stopping(connection.execute(_STOPPED, [application]).fetchall())


def standing(cursor: Cursor, application: str) -> set[tuple[Reader, Place]]:
    """Return which readers have come to where they have to stop."""
    return _stopping(cursor.execute(_STANDING, [application]).fetchall())


def position_of(connection: Connection, application: str, projection: str) -> Position:
    """Return how far the live version of a projection has come."""
    return _position(connection.execute(_POSITION, [application, projection]).fetchall())


def wait_for(
    dsn: str, application: str, projection: str, goal: Position, timeout_s: float, key: str | None = None
) -> Waited:
    """Wait until a projection has reached a position; with a key, also tell whether that key is parked. Blocks."""
    with connect(dsn, "wait") as connection:
        return wait_on(connection, application, projection, goal, timeout_s, key)


def wait_on(
    connection: Connection, application: str, projection: str, goal: Position, timeout_s: float, key: str | None = None
) -> Waited:
    """Do the same as `wait_for` on a connection of the caller's."""
    deadline, pause_s = time.monotonic() + timeout_s, POLL_S_MIN
    while True:
        waited = reached(position_of(connection, application, projection), goal)
        if waited.reached is Reached.YES and key is not None:
            (parked,) = connection.execute(_PARKED, [application, projection, key]).fetchone() or (False,)
            return Waited(Reached.PARKED, waited.position) if parked else waited
        if waited.reached is Reached.YES or time.monotonic() >= deadline:
            return waited
        time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
        pause_s = min(pause_s * 1.5, POLL_S_MAX)


def reached(position: Position, goal: Position) -> Waited:
    """Return whether a position has reached a goal, as far as the goal speaks of topics that the projection folds."""
    wanted = goal.only({topic for topic, _ in position.offsets})
    folds_it = bool(wanted.offsets) or not goal.offsets
    return Waited(Reached.YES if folds_it and position.reached(wanted) else Reached.STALE, position)


def _stopping(rows: Iterable[tuple[Any, ...]]) -> set[tuple[Reader, Place]]:
    return {(Reader(name, version), (topic, partition)) for name, version, topic, partition in rows}


def _position(rows: Iterable[tuple[Any, ...]]) -> Position:
    offsets: dict[tuple[str, int], int] = {}
    topic_ids: dict[str, str] = {}
    for topic, partition, next_offset, topic_id in rows:
        offsets[topic, partition] = next_offset
        topic_ids[topic] = topic_id
    return Position(offsets, topic_ids)


def lags(position: Position, ends: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Return by topic and partition how many offsets a position is behind the log's ends."""
    return {place: max(0, end - position.offsets.get(place, 0)) for place, end in ends.items()}
