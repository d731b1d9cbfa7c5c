"""Commuting: whether a projection gives the same row whatever order its partitions are read in.

Kafka orders the events of one partition only. A projection whose key is not its aggregate's folds events of several
partitions into one row, so every **interleaving** (any order that keeps each partition's own) must give the same row.

Promises: pure; two neighbouring events of different partitions whose swap changes the row are named.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.messages import Event
from schemas.metadata import EventMetadata
from streams.kernel.projection import Projection

Fact = tuple[Event, EventMetadata]
Choose = Callable[[int], int]


class Clash(NamedTuple):
    """Two events that do not commute on a row, and the two rows that their two orders give."""

    key: Any
    first: Event
    second: Event
    in_this_order: Any
    the_other_way: Any

    def __str__(self) -> str:
        """Return the clash as one line."""
        return (
            f"row {self.key}: {self.first!r} then {self.second!r} gives {self.in_this_order!r}, "
            f"the other way round {self.the_other_way!r}"
        )


def find_clash(
    projection: Projection[Any, Any], partitions: Mapping[int, Sequence[Fact]], choose: Choose, tries: int = 20
) -> Clash | None:
    """Read the partitions in `tries` interleavings, and return the first two events that do not commute.

    Args:
        projection: what is checked.
        partitions: the events of each partition, in order.
        choose: returns a number below its argument; give `random.Random(seed).randrange`.
        tries: how many interleavings to read.
    """
    if projection.on_aggregate_key:
        return None
    for _ in range(tries):
        clash = _clash_in(projection, _interleaved(partitions, choose))
        if clash is not None:
            return clash
    return None


def _interleaved(partitions: Mapping[int, Sequence[Fact]], choose: Choose) -> list[tuple[int, Fact]]:
    places = {partition: 0 for partition, facts in partitions.items() if facts}
    order = []
    while places:
        partition = list(places)[choose(len(places))]
        order.append((partition, partitions[partition][places[partition]]))
        places[partition] += 1
        if places[partition] == len(partitions[partition]):
            del places[partition]
    return order


def _clash_in(projection: Projection[Any, Any], order: Sequence[tuple[int, Fact]]) -> Clash | None:
    rows: dict[Any, Any] = {}
    last: dict[Any, tuple[int, Fact, Any]] = {}
    for partition, fact in order:
        event, _ = fact
        if type(event) not in projection.event_types:
            continue
        key = projection.key_of(event)
        before = rows.get(key)
        rows[key] = _step(projection, key, before, fact)
        previous = last.get(key)
        if previous is not None and previous[0] != partition:
            swapped = _step(projection, key, _step(projection, key, previous[2], fact), previous[1])
            if swapped != rows[key]:
                return Clash(key, previous[1][0], event, rows[key], swapped)
        last[key] = (partition, fact, before)
    return None


def _step(projection: Projection[Any, Any], key: Any, row: Any, fact: Fact) -> Any:
    return projection.project(projection.new_row(key) if row is None else row, *fact)
