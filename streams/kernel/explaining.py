"""Explaining: which events made a row, and what each of them changed.

Promises: pure; nothing is kept for it in the live path, since the events are read again.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.messages import Event
from schemas.metadata import EventMetadata
from streams.kernel.projection import Projection


class Located(NamedTuple):
    """An event, and where it lies."""

    topic: str
    partition: int
    offset: int
    event: Event
    meta: EventMetadata


class Cause(NamedTuple):
    """One event of a row's history. `changed`: by field, the value before and after."""

    topic: str
    partition: int
    offset: int
    event: str
    command_id: str
    version: int
    time_ms: int
    changed: dict[str, tuple[Any, Any]]


def explain(projection: Projection[Any, Any], key: Any, events: Iterable[Located]) -> list[Cause]:
    """Return what each event that acts on the row of this key did to it, in order."""
    causes = []
    row = None
    for topic, partition, offset, event, meta in events:
        if not acts_on(projection, key, event):
            continue
        before = _fields(row)
        row = projection.project(projection.new_row(key) if row is None else row, event, meta)
        after = _fields(row)
        changed = {
            name: (before.get(name), after.get(name))
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        }
        about = meta.command_id, meta.version, meta.time_ms
        causes.append(Cause(topic, partition, offset, type(event).__name__, *about, changed))
    return causes


def acts_on(projection: Projection[Any, Any], key: Any, event: Event) -> bool:
    """Return whether the projection folds an event into the row of this key."""
    return type(event) in projection.event_types and projection.key_of(event) == key


def in_order(events: Iterable[Located]) -> list[Located]:
    """Return them by offset within a partition, whatever the clocks of its owners said; across partitions by time."""
    latest: dict[tuple[str, int], int] = {}
    timed = []
    for each in sorted(events, key=lambda each: each[:3]):
        time_ms = latest[each[:2]] = max(each.meta.time_ms, latest.get(each[:2], 0))
        timed.append((time_ms, each))
    return [each for _, each in sorted(timed, key=lambda pair: (pair[0], pair[1][:3]))]


def _fields(row: Any) -> dict[str, Any]:
    return {} if row is None else row.facts()
