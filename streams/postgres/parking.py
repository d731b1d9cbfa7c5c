"""Parking: events that a reader could not take, kept with their bytes until somebody retries or discards them.

A key is parked when its first event is here; later events of the key wait behind it, in the log's order.

Promises: what is parked is written in the transaction that moves the checkpoint past it, so nothing is lost or taken twice.
"""

import hashlib
import inspect
from collections.abc import Iterable
from typing import Any

from streams.kernel.folding import ParkedKeys, Problem
from streams.kernel.projection import Projection
from streams.postgres.checkpoints import Reader
from streams.postgres.columns import RowShape
from streams.postgres.connection import Cursor

_KEYS = """
SELECT DISTINCT key, by_message, CASE WHEN by_message THEN message_key END
FROM kafold.parked WHERE application = %s AND projection = %s AND version = %s
"""

_PARK = """
INSERT INTO kafold.parked (application, projection, version, topic, partition, "offset", key, by_message, message_key, data,
    error_type, error, code)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


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


def code_of(projection: Projection[Any, Any]) -> str:
    """Return a fingerprint of the projection's function, to tell which code met an event."""
    try:
        source = inspect.getsource(projection.project)
    except OSError:
        source = repr(projection.project.__code__.co_code)
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def _text(problem: Problem, shape: RowShape | None) -> str:
    if problem.by_message or shape is None:
        return _storable(problem.envelope.key.decode(errors="backslashreplace"))
    return _storable(shape.key_text(problem.key))


def _storable(text: str) -> str:
    """PostgreSQL's text has no zero character; what names a key or an error may have."""
    return text.replace("\0", "\\0")
