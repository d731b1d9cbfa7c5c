"""Parting: the event at which two versions of a projection begin to make different rows of one history.

Promises: pure; only fields that both row models have are compared; a version that raises at an event parts from one
that does not.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.position import Place
from streams.kernel.projection import Projection


class Recorded(NamedTuple):
    """One event of a row's history, and where it is in the log."""

    place: Place
    offset: int
    event: Event
    meta: EventMetadata


class Parting(NamedTuple):
    """Where two versions part. `old`, `new`: the fields that differ after the event, or what was raised."""

    recorded: Recorded
    old: dict[str, Any]
    new: dict[str, Any]

    def __str__(self) -> str:
        """Return it as one line."""
        (topic, partition), offset, event, meta = self.recorded
        return (
            f"they part at {topic}[{partition}] offset {offset}, version {meta.version} of {event.aggregate_id}, "
            f"{event!r}: {_text(self.old)} and {_text(self.new)}"
        )

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        (topic, partition), offset, event, meta = self.recorded
        return {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "version": meta.version,
            "event_id": meta.event_id,
            "type": type(event).__name__,
            "fields": event.model_dump(mode="json"),
            "old": self.old,
            "new": self.new,
        }


def part(old: Projection[Any, Any], new: Projection[Any, Any], key: Any, history: Sequence[Recorded]) -> Parting | None:
    """Return where the versions part in the history of a row, or None: they make the same row of it."""
    shared = [name for name in new.row.model_fields if name in old.row.model_fields]
    for recorded, one, two in zip(history, _rows(old, key, history), _rows(new, key, history), strict=True):
        differing = [name for name in shared if one.get(name) != two.get(name)]
        if differing or one.get(RAISED) != two.get(RAISED):
            names = [*differing, RAISED]
            return Parting(recorded, _only(one, names), _only(two, names))
    return None


RAISED = "(raised)"


def _rows(projection: Projection[Any, Any], key: Any, history: Iterable[Recorded]) -> Iterable[dict[str, Any]]:
    """Yield the row's fields after each event; from an event that cannot be folded on, what it raised besides."""
    row: Any = None
    raised: dict[str, Any] = {}
    for _, _, event, meta in history:
        if not raised and type(event) in projection.event_types:
            try:
                row = projection.project(projection.new_row(key) if row is None else row, event, meta)
            except Exception as error:  # noqa: BLE001  (whatever the application's function raises parks the key)
                raised = {RAISED: f"{type(error).__name__}: {error}"}
        yield {**({} if row is None else row.facts()), **raised}


def _only(fields: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _text(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items()) or "no row"
