"""Parking: events that a reader could not take, kept with their bytes until somebody retries or discards them.

A key is parked when its first event is here; later events of the key wait behind it, in the log's order.

Promises: what is parked is written in the transaction that moves the checkpoint past it: nothing is lost or taken
twice.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from schemas.position import Place
from streams.kernel.folding import ParkedKeys, Problem
from streams.postgres.checkpoints import JOURNAL, Reader
from streams.postgres.columns import RowShape
from streams.postgres.connection import Connection, Cursor

_KEYS = """
SELECT DISTINCT key, by_message, CASE WHEN by_message THEN message_key END
FROM kafold.parked WHERE application = %s AND projection = %s AND version = %s
"""

_PARK = """
INSERT INTO kafold.parked (
    application, projection, version, topic, partition, "offset", key, by_message, message_key, data,
    error_type, error, code
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


_REQUESTED = """
SELECT DISTINCT topic, partition FROM kafold.parked WHERE application = %s AND request IS NOT NULL
"""

_REQUESTED_KEYS = """
SELECT DISTINCT projection, version, key, by_message FROM kafold.parked
WHERE application = %s AND topic = %s AND partition = %s AND request IS NOT NULL
ORDER BY projection, version, key
"""

_MATCH = """
application = %(application)s
    AND (%(projection)s::text IS NULL OR projection = %(projection)s) AND (%(key)s::text IS NULL OR key = %(key)s)
"""

# The journal gives nothing up: a discard there would only be taken out and parked again.
_REQUEST = f"""
UPDATE kafold.parked SET request = %(request)s WHERE {_MATCH}
    AND (%(request)s = 'retry' OR projection <> %(journal)s)
    AND (%(error)s::text IS NULL OR (projection, version, key, by_message) IN (
        SELECT projection, version, key, by_message FROM kafold.parked WHERE {_MATCH} AND error_type = %(error)s))
RETURNING projection, version, topic, partition, "offset"
"""  # noqa: S608 - both parts are constants

_STILL = """
SELECT count(*) FILTER (WHERE request IS NOT NULL), count(*)
FROM kafold.parked JOIN unnest(%s::text[], %s::int[], %s::text[], %s::int[], %s::bigint[])
    AS asked (projection, version, topic, partition, "offset") USING (projection, version, topic, partition, "offset")
WHERE application = %s
"""

_TAKE_OUT = """
DELETE FROM kafold.parked
WHERE application = %s AND projection = %s AND version = %s AND key = %s AND by_message = %s
RETURNING parked_at, topic, partition, "offset", message_key, data, request
"""

_WITHDRAW = """
UPDATE kafold.parked p SET request = NULL,
    error_type = CASE WHEN first THEN %(error_type)s ELSE error_type END,
    error = CASE WHEN first THEN %(error)s ELSE error END
FROM (
    SELECT ctid, row_number() OVER (ORDER BY parked_at, topic, partition, "offset") = 1 AS first FROM kafold.parked
    WHERE application = %(application)s AND projection = %(projection)s AND version = %(version)s
        AND key = %(key)s AND by_message = %(by_message)s
) AS found WHERE p.ctid = found.ctid
"""

_LIST = """
SELECT projection, version, key, by_message, topic, partition, "offset", error_type, error, code, request, parked_at,
    message_key, data
FROM kafold.parked WHERE application = %s AND (%s::text IS NULL OR projection = %s) AND (%s::text IS NULL OR key = %s)
ORDER BY projection, version, key, parked_at, topic, partition, "offset"
"""

_SUMMARIES = """
SELECT projection, version, key, by_message, count(*), min(parked_at),
    (array_agg(error_type ORDER BY parked_at) FILTER (WHERE error_type IS NOT NULL))[1],
    (array_agg(error ORDER BY parked_at) FILTER (WHERE error_type IS NOT NULL))[1],
    max(request)
FROM kafold.parked WHERE application = %s AND (%s::text IS NULL OR projection = %s)
GROUP BY projection, version, key, by_message ORDER BY min(parked_at), projection, version, key
"""


# A key that several partitions share is counted by the owner of its first parked event: once among all workers.
_COUNT = """
SELECT projection, count(*) FROM (
    SELECT DISTINCT ON (projection, version, key, by_message) projection, topic, partition
    FROM kafold.parked WHERE application = %s
    ORDER BY projection, version, key, by_message, parked_at, topic, partition, "offset"
) AS first JOIN unnest(%s::text[], %s::int[]) AS owned (topic, partition) USING (topic, partition)
GROUP BY projection
"""


class Request(Enum):
    """What may be asked of parked events: fold them again (after a fix), or give them up for this projection."""

    RETRY = "retry"
    DISCARD = "discard"


class Parked(NamedTuple):
    """One parked event, for people. `error` None: it only waits behind another of its key."""

    projection: str
    version: int
    key: str
    by_message: bool
    topic: str
    partition: int
    offset: int
    error_type: str | None
    error: str | None
    code: str
    request: str | None
    parked_at: datetime
    message_key: bytes
    data: bytes


class ParkedSummary(NamedTuple):
    """One parked key, for people: how many events wait, since when, and the first one's error."""

    projection: str
    version: int
    key: str
    by_message: bool
    events: int
    since: datetime
    error_type: str | None
    error: str | None
    request: str | None


class ParkedPlace(NamedTuple):
    """One parked event: whose, and where it lies in the log."""

    projection: str
    version: int
    topic: str
    partition: int
    offset: int


class ParkedKey(NamedTuple):
    """One parked key of a reader."""

    reader: Reader
    key: str
    by_message: bool


class TakenOut(NamedTuple):
    """One event that was taken out of the park."""

    parked_at: datetime
    topic: str
    partition: int
    offset: int
    message_key: bytes
    data: bytes
    request: str | None


def parked(
    connection: Connection, application: str, projection: str | None = None, key: str | None = None
) -> list[Parked]:
    """Return the parked events, of one projection or key where that is given."""
    rows = connection.execute(_LIST, [application, projection, projection, key, key])
    return [Parked(*row) for row in rows]


def summaries(connection: Connection, application: str, projection: str | None = None) -> list[ParkedSummary]:
    """Return the parked keys, those that wait longest first."""
    return [ParkedSummary(*row) for row in connection.execute(_SUMMARIES, [application, projection, projection])]


def count_keys(connection: Connection, application: str, owned: Sequence[Place]) -> list[tuple[str, int]]:
    """Return how many keys of each projection are parked by events of these partitions, where any are."""
    topics, partitions = [topic for topic, _ in owned], [partition for _, partition in owned]
    return connection.execute(_COUNT, [application, topics, partitions]).fetchall()


def request(
    connection: Connection, application: str, projection: str | None, what: Request, key: str | None = None,
    error_type: str | None = None,
) -> list[ParkedPlace]:  # fmt: skip
    """Ask the owning workers to retry or discard events; return which.

    Those of one projection, of one key, and of all keys with one kind of error, where that is given.
    """
    about = {"application": application, "projection": projection, "key": key, "journal": JOURNAL.name}
    asked = connection.execute(_REQUEST, {**about, "error": error_type, "request": what.value})
    return [ParkedPlace(*row) for row in asked]


def still(connection: Connection, application: str, places: Sequence[ParkedPlace]) -> tuple[int, int]:
    """Return of these events how many wait for their request to be carried out, and how many are parked at all."""
    columns = [list(each) for each in zip(*places, strict=True)]
    [(waiting, there)] = connection.execute(_STILL, [*columns, application]).fetchall()
    return waiting, there


def requested(connection: Connection, application: str) -> list[tuple[str, int]]:
    """Return the topics' partitions on which something is requested."""
    return connection.execute(_REQUESTED, [application]).fetchall()


def requested_keys(cursor: Cursor, application: str, topic: str, partition: int) -> list[ParkedKey]:
    """Return the keys of which something is requested, in the order in which everyone takes locks."""
    rows = cursor.execute(_REQUESTED_KEYS, [application, topic, partition]).fetchall()
    return [ParkedKey(Reader(name, version), key, by_message) for name, version, key, by_message in rows]


def take_out(cursor: Cursor, application: str, key: ParkedKey) -> list[TakenOut]:
    """Take a key's events out of the park, in the order in which they came."""
    return sorted(TakenOut(*row) for row in cursor.execute(_TAKE_OUT, [application, *key.reader, *key[1:]]))


def withdraw(cursor: Cursor, application: str, key: ParkedKey, error: Exception) -> None:
    """Leave a key's events parked as they are, and say at the first why its request came to nothing."""
    about = {"projection": key.reader.name, "version": key.reader.version, "key": key.key, "by_message": key.by_message}
    why = {"error_type": type(error).__name__, "error": _storable(str(error))}
    cursor.execute(_WITHDRAW, {"application": application, **about, **why})


def parked_keys(cursor: Cursor, application: str, reader: Reader, shape: RowShape | None) -> ParkedKeys:
    """Return the keys of a reader that are parked now. `shape` None: it has no rows (the journal)."""
    parked = ParkedKeys()
    for text, by_message, message_key in cursor.execute(_KEYS, [application, *reader]).fetchall():
        if by_message:
            parked.messages.add(message_key)
        elif shape is not None:
            parked.rows.add(shape.key_of_text(text))
    return parked


def park(
    cursor: Cursor, application: str, reader: Reader, place: tuple[str, int], problems: Iterable[Problem],
    shape: RowShape | None, code: str,
) -> None:  # fmt: skip
    """Keep the events that have to wait."""
    cursor.executemany(
        _PARK,
        [
            (
                application, *reader, *place, problem.envelope.offset, _text(problem, shape), problem.by_message,
                problem.envelope.key, problem.envelope.data,
                type(problem.error).__name__ if problem.error else None,
                _storable(str(problem.error)) if problem.error else None, code,
            )
            for problem in problems
        ],
    )  # fmt: skip


def code_of(function: Callable[..., Any]) -> str:
    """Return a fingerprint of the application's function, to tell which code met an event."""
    try:
        source = inspect.getsource(function)
    except OSError:
        source = repr(function.__code__.co_code)
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def _text(problem: Problem, shape: RowShape | None) -> str:
    if problem.by_message or shape is None:
        return _storable(problem.envelope.key.decode(errors="backslashreplace"))
    return _storable(shape.key_text(problem.key))


def _storable(text: str) -> str:
    """PostgreSQL's text has no zero character; what names a key or an error may have."""
    return text.replace("\0", "\\0")
