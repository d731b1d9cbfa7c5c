"""A moment: a version, a position or a time, up to which an aggregate's history or a row's events are looked at.

Promises: pure; a version takes the events up to it, a position what lies before it, a time what was decided at or
before it, up to the first that is later; a position that says nothing of the aggregate's partition is refused, never
taken for its beginning.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, TypeVar

from schemas.errors import InvalidPosition
from schemas.messages import Event
from schemas.position import Place, Position
from streams.event_store.history import History, Recorded

Ev = TypeVar("Ev", bound=Event)

_VERSION = re.compile(r"[0-9]{1,18}\Z")  # what the journal's column holds


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the three. `time_ms`: milliseconds since 1970 UTC. `version`: of an aggregate; 0 is before its first."""

    position: Position | None = None
    time_ms: int | None = None
    version: int | None = None

    def end_at(self, place: Place) -> int | None:
        """Return the offset at which the position ends in a partition; None: it is no position.

        Raises:
            InvalidPosition: the position says nothing of that partition.
        """
        if self.position is None:
            return None
        if place not in self.position.offsets:
            raise InvalidPosition(
                f"the position says nothing of partition {place[1]} of {place[0]}, where the aggregate is"
            )
        return self.position.offsets[place]


ALWAYS = Moment(time_ms=2**63 - 1)  # takes all that there is


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


def parse_moment_or_version(text: str) -> Moment:
    """Read the same, or a number, which is a version.

    Raises:
        InvalidPosition: the text is none of the three.
    """
    return Moment(version=int(text)) if _VERSION.match(text) else parse_moment(text)


def as_of(history: History[Ev], moment: Moment, place: Place) -> History[Ev]:
    """Return the history as it was at a moment. `place`: the partition of its aggregate's events.

    Raises:
        InvalidPosition: the position says nothing of that partition, or is of another topic of the same name.
    """
    if moment.position is not None:
        history.position.reached(moment.position.only([place[0]]))  # refuses another topic of the same name
    end = moment.end_at(place)

    def counts(each: Recorded[Ev]) -> bool:
        if end is not None:
            return each.offset < end
        if moment.version is not None:
            return each.version <= moment.version
        return each.metadata.time_ms <= (moment.time_ms or 0)

    recorded = tuple(takewhile(counts, history.recorded))
    # What is parked comes after all that is recorded.
    is_whole = len(recorded) < len(history) or not _has_parked(history, moment, end)
    return replace(history, recorded=recorded, parked_from=None if is_whole else history.parked_from)


def _has_parked(history: History[Any], moment: Moment, end: int | None) -> bool:
    if history.parked_from is None:
        return False
    if end is not None:
        return history.parked_from < end
    # When it was decided is not known, since it cannot be read: of a time it may be.
    return moment.version is None or moment.version > history.version
