"""A moment: a position or a time, up to which a history is looked at.

Promises: pure; a position takes what lies before it, a time what was decided at or before it, up to the first that
is later; a position that says nothing of the aggregate's partition is refused, never taken for its beginning.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import TypeVar

from schemas.errors import InvalidPosition
from schemas.messages import Event
from schemas.position import Place, Position
from streams.event_store.history import History

Ev = TypeVar("Ev", bound=Event)


@dataclass(frozen=True, slots=True)
class Moment:
    """Either a position, or a time in milliseconds since 1970 UTC."""

    position: Position | None = None
    time_ms: int | None = None


def parse_moment(text: str) -> Moment:
    """Read a position, or a time in ISO 8601 (without a zone: UTC).

    Raises:
        InvalidPosition: the text is neither.
    """
    if "@" in text:
        return Moment(position=Position.parse(text))
    try:
        time = datetime.fromisoformat(text)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return Moment(time_ms=round(time.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise InvalidPosition(
            f"{text!r} is neither a position (topic@uuid:partition=offset,…) nor a time (2026-11-24T12:00:00)"
        ) from None


def as_of(history: History[Ev], moment: Moment, place: Place) -> History[Ev]:
    """Return the history as it was at a moment. `place`: the partition of its aggregate's events.

    Raises:
        InvalidPosition: the position says nothing of that partition, or is of another topic of the same name.
    """
    if moment.position is None:
        limit_ms = moment.time_ms or 0
        return replace(
            history, recorded=tuple(takewhile(lambda each: each.metadata.time_ms <= limit_ms, history.recorded))
        )
    history.position.reached(moment.position.only([place[0]]))  # refuses another topic of the same name
    end = moment.position.offsets.get(place)
    if end is None:
        raise InvalidPosition(
            f"the position says nothing of partition {place[1]} of {place[0]}, where the aggregate is"
        )
    return replace(history, recorded=tuple(each for each in history.recorded if each.offset < end))
