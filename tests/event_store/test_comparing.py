"""Comparing two streams: equal ones have no difference, and of unequal ones the very first is named."""

import random
from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams.event_store.comparing import STRETCH_OFFSETS, Entry, Tally, first_difference, offsets_of, side_by_side

ENTRIES = st.lists(
    st.builds(
        Entry, st.integers(0, 2), st.integers(0, 9), st.sampled_from("ab"), st.integers(1, 3), st.binary(max_size=1)
    ),
    max_size=12,
    unique_by=lambda entry: entry.place,
).map(sorted)
PLACES = st.frozensets(st.tuples(st.integers(0, 2), st.integers(0, 9)))


@given(ENTRIES, ENTRIES)
def test_side_by_side_is_a_full_join_in_order(one: Sequence[Entry], two: Sequence[Entry]) -> None:
    left, right = {each.place: each for each in one}, {each.place: each for each in two}
    expected = [(left.get(place), right.get(place)) for place in sorted(left.keys() | right.keys())]
    assert list(side_by_side(iter(one), iter(two))) == expected


@given(ENTRIES, ENTRIES, PLACES)
def test_the_first_difference_is_the_first_place_that_is_not_the_same(
    topic: list[Entry], journal: list[Entry], parked: frozenset[tuple[int, int]]
) -> None:
    left, right = {each.place: each for each in topic}, {each.place: each for each in journal}
    different = [
        place
        for place in sorted(left.keys() | right.keys())
        if left.get(place) != right.get(place) and not (place in parked and place not in right)
    ]
    same: list[Entry] = []
    found = first_difference(iter(topic), iter(journal), parked, same.append)
    assert (found and (found.partition, found.offset)) == (different[0] if different else None)
    assert same == [each for each in journal if not different or each.place < different[0]]


def tally_of(entries: Iterable[Entry]) -> Tally:
    tally = Tally()
    for each in entries:
        tally.add(each)
    return tally


@given(ENTRIES, ENTRIES, st.randoms())
def test_tallies_differ_where_events_do_in_whatever_order_they_come(
    one: list[Entry], two: list[Entry], order: random.Random
) -> None:
    far = [[each._replace(offset=each.offset * STRETCH_OFFSETS // 3) for each in some] for some in (one, two)]
    shuffled = order.sample(far[0], len(far[0]))
    stretches = {(each.partition, each.offset // STRETCH_OFFSETS) for each in (*far[0], *far[1])}
    expected = []
    for partition, number in sorted(stretches):
        first, last = offsets_of((partition, number))
        parts = [[each for each in some if each.partition == partition and first <= each.offset < last] for some in far]
        if parts[0] != parts[1]:
            expected.append((partition, number))
    assert tally_of(shuffled).differing(tally_of(far[1])) == expected
    assert tally_of(far[0]).events == len(one)
    for stretch in stretches:
        before = [each for each in far[0] if (each.partition, each.offset // STRETCH_OFFSETS) < stretch]
        assert tally_of(far[0]).before(stretch) == len(before)
