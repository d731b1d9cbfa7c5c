"""Comparing: two streams of the same events, each in the order of partition and offset, side by side.

Promises: pure, and lazy: it holds one event of each stream; the first difference is named by its place and by what is
wrong with it.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

Place = tuple[int, int]  # partition, offset


class Entry(NamedTuple):
    """One event, on either side. `version`: None where it cannot be read."""

    partition: int
    offset: int
    id: str
    version: int | None
    data: bytes

    @property
    def place(self) -> Place:
        """Its partition and offset."""
        return self.partition, self.offset

    def __str__(self) -> str:
        """Return its name, for people."""
        return f"{self.id!r} version {self.version}"


class Difference(NamedTuple):
    """Where journal and topic differ, and how."""

    partition: int
    offset: int
    what: str


def first_difference(
    topic: Iterator[Entry], journal: Iterator[Entry], parked: frozenset[Place], on_same: Callable[[Entry], None]
) -> Difference | None:
    """Return the first difference. `parked`: the places that the journal is known to lack; `on_same` hears the rest."""
    for recorded, row in side_by_side(topic, journal):
        if recorded is None and row is not None:
            return Difference(*row.place, f"the journal has {row}, the topic has no such event there")
        if recorded is not None and row is None and recorded.place not in parked:
            return Difference(*recorded.place, f"{recorded} is not in the journal")
        if recorded is not None and row is not None:
            wrong = _wrong(recorded, row)
            if wrong is not None:
                return Difference(*row.place, wrong)
            on_same(row)
    return None


def side_by_side(one: Iterator[Entry], two: Iterator[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Yield the entries of each place in order; None where a stream has none."""
    left, right = next(one, None), next(two, None)
    while left is not None or right is not None:
        first = min(each.place for each in (left, right) if each is not None)
        is_left = left is not None and left.place == first
        is_right = right is not None and right.place == first
        yield (left if is_left else None), (right if is_right else None)
        left = next(one, None) if is_left else left
        right = next(two, None) if is_right else right


def _wrong(recorded: Entry, row: Entry) -> str | None:
    if recorded.id != row.id:
        return f"the topic's key is {recorded.id!r}, the journal has {row}"
    if recorded.data != row.data:
        return f"the bytes of {row} are not those of the topic ({len(row.data)} and {len(recorded.data)} bytes)"
    if recorded.version != row.version:
        return f"the event says version {recorded.version}, the journal has {row}"
    return None
