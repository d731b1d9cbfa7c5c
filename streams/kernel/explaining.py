"""Explaining: which events made a row, and what each of them changed.

Promises: pure; nothing is kept for it in the live path, since the events are read again.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.messages import Event
from schemas.metadata import EventMetadata
from streams.kernel.projection import Projection


class Cause(NamedTuple):
    """One event of a row's history. `changed`: by field, the value before and after."""

    partition: int
    offset: int
    event: str
    command_id: str
    version: int
    changed: dict[str, tuple[Any, Any]]


def explain(
    projection: Projection[Any, Any], key: Any, events: Iterable[tuple[int, int, Event, EventMetadata]]
) -> list[Cause]:
    """Return what each event (with its partition and offset) did to the row of this key, in order."""
    causes = []
    row = None
    for partition, offset, event, meta in events:
        if type(event) not in projection.event_types or projection.key_of(event) != key:
            continue
        before = _fields(row)
        row = projection.project(projection.new_row(key) if row is None else row, event, meta)
        after = _fields(row)
        changed = {
            name: (before.get(name), after.get(name))
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        }
        causes.append(Cause(partition, offset, type(event).__name__, meta.command_id, meta.version, changed))
    return causes


def _fields(row: Any) -> dict[str, Any]:
    return {} if row is None else row.facts()
