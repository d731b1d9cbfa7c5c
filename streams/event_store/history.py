"""A history: one aggregate's events as they were recorded, in the order of their versions.

Promises: immutable; versions are 1..n without a gap, or `rebuild` refuses; `position` says how far the journal was when
the history was taken from it, so that nobody takes an old history for the newest.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Self, TypeVar

from schemas.errors import DecodingError
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.position import Position
from streams.event_store.reading import ALL, Found
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.errors import LogBroken, ParkedHistory

S = TypeVar("S", bound=State)
Ev = TypeVar("Ev", bound=Event)
Ev_co = TypeVar("Ev_co", bound=Event, covariant=True)


class Recorded(NamedTuple, Generic[Ev_co]):
    """One event with what the platform says about it. `offset`: where it is in the partition of its aggregate."""

    event: Ev_co
    metadata: EventMetadata
    offset: int

    @property
    def version(self) -> int:
        """1..n within the aggregate."""
        return self.metadata.version


@dataclass(frozen=True, slots=True)
class History(Generic[Ev]):
    """`position`: everything before it is in the history, as far as it was asked for.

    `parked_from`: the offset of an event that is not in it, nor what follows, because the journal could not take it.
    """

    aggregate_id: str
    recorded: tuple[Recorded[Ev], ...]
    position: Position
    parked_from: int | None = None

    @property
    def version(self) -> int:
        """The version that the events lead to; 0: there are none."""
        return self.recorded[-1].version if self.recorded else 0

    @property
    def events(self) -> tuple[Ev, ...]:
        """The bare events."""
        return tuple(each.event for each in self.recorded)

    def whole(self) -> Self:
        """Return the history, if it lacks nothing.

        Raises:
            ParkedHistory: an event of it is parked.
        """
        if self.parked_from is not None:
            topics = ", ".join(self.position.topic_ids)
            raise ParkedHistory(
                f"{self.aggregate_id}: an event after version {self.version} is parked in the journal of {topics}, at "
                f"offset {self.parked_from}; mend its cause and retry it, or ask for the versions up to {self.version}"
            )
        return self

    def __iter__(self) -> Iterator[Recorded[Ev]]:
        """Go through the events in order."""
        return iter(self.recorded)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.recorded)


def history_of(
    aggregate_id: str, found: Found, topic: str, decode: Callable[[bytes], tuple[Ev, EventMetadata]], upto: int = ALL
) -> History[Ev]:
    """Return what was found of an aggregate, decoded. `upto`: the version up to which it was asked for.

    Raises:
        DecodingError: an event cannot be read by today's classes.
    """
    recorded = list[Recorded[Ev]]()
    try:
        for offset, data in zip(found.offsets, found.bodies, strict=True):
            recorded.append(Recorded(*decode(data), offset))
    except DecodingError as error:
        at = len(recorded)
        place = f"{topic} version {at + 1} (offset {found.offsets[at]})"
        raise type(error)(f"{place}: {error}") from error
    parked_from = found.parked_from if len(found.bodies) < upto else None
    return History(aggregate_id, tuple(recorded), found.position, parked_from)


def rebuild(aggregate: Aggregate[S, Any, Ev], history: History[Ev]) -> S:
    """Return the state that a history leads to.

    Raises:
        LogBroken: a version is missing, or there twice.
    """
    for expected, each in enumerate(history, 1):
        if each.version != expected:
            raise LogBroken(f"{aggregate.name} {history.aggregate_id}: version {each.version} follows {expected - 1}")
    return aggregate.fold(history.events)
