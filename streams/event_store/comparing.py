"""Comparing: two copies of the same events, first by tallies, then, where these differ, side by side.

A **tally** counts the events of each stretch of 10,000 offsets of a partition and adds up their hashes, in whatever
order they come; so two copies are compared without sorting either. The hash is Python's own: 64 bits over every field,
with a key that each process draws anew.

Promises: pure, and lazy: a tally holds three numbers a stretch, side by side one event of each stream; the first
difference is named by its place and by what is wrong with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

Place = tuple[int, int]  # partition, offset
Stretch = tuple[int, int]  # partition, number of the stretch

STRETCH_OFFSETS = 10_000


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


@dataclass
class Tally:
    """How many events there are in each stretch, and the sum of their hashes."""

    counts: dict[Stretch, int] = field(default_factory=dict)
    sums: dict[Stretch, int] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Count one event."""
        stretch = entry.partition, entry.offset // STRETCH_OFFSETS
        self.counts[stretch] = self.counts.get(stretch, 0) + 1
        self.sums[stretch] = self.sums.get(stretch, 0) + hash(entry)

    def differing(self, other: "Tally") -> list[Stretch]:
        """Return, in order, the stretches whose events are not the same."""
        stretches = sorted(self.counts.keys() | other.counts.keys())
        return [each for each in stretches if self.of(each) != other.of(each)]

    def before(self, stretch: Stretch) -> int:
        """Return how many events lie in the stretches before one."""
        return sum(count for each, count in self.counts.items() if each < stretch)

    @property
    def events(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    def of(self, stretch: Stretch) -> tuple[int | None, int | None]:
        """Return the two numbers of a stretch; None: it has no events."""
        return self.counts.get(stretch), self.sums.get(stretch)


def offsets_of(stretch: Stretch) -> tuple[int, int]:
    """Return the first offset of a stretch, and the one behind its last."""
    _, number = stretch
    return number * STRETCH_OFFSETS, (number + 1) * STRETCH_OFFSETS


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
