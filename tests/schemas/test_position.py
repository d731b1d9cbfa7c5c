"""Positions: their text, and the laws of merging and reaching."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidPosition
from schemas.position import Position

UUIDS = {"shop.account.events": "MkU3OEVBNTcwNTJENDM2Qg", "shop.user.events": "rPuNIkV3Ro-x_4hd2Wk3dA", "plain": "-"}
POSITIONS = st.dictionaries(
    st.tuples(st.sampled_from(sorted(UUIDS)), st.integers(0, 3)), st.integers(0, 2**63 - 1) | st.integers(0, 3)
).map(lambda offsets: Position(offsets, {topic: UUIDS[topic] for topic, _ in offsets if UUIDS[topic] != "-"}))


@given(POSITIONS)
def test_the_text_says_everything(position: Position) -> None:
    assert Position.parse(str(position)) == position


def test_the_text_is_in_order() -> None:
    position = Position({("b", 2): 7, ("b", 0): 3, ("a", 1): 5}, {"b": "B"})
    assert str(position) == "a@-:1=5;b@B:0=3,2=7"
    assert str(Position()) == ""
    assert Position.parse("") == Position()


@pytest.mark.parametrize(
    "text",
    ["a", "a:0=1", "a@u", "a@u:", "a@u:0", "a@u:0=", "a@u:0=-1", "a@u:0=1,", "a@u:0=x", "a b@u:0=1", "a@u:٣=1",
     "a@u:0=1;a@u:1=2", "a@u:0=1;a@v:1=2", "a@u:0=1,0=2", "a@u:0=1,00=2"],
)  # fmt: skip
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidPosition):
        Position.parse(text)


@given(POSITIONS, POSITIONS, POSITIONS)
def test_merging_takes_the_later_of_each(one: Position, two: Position, three: Position) -> None:
    merged = one.merge(two)
    assert merged == two.merge(one)
    assert merged.merge(three) == one.merge(two.merge(three))
    assert one.merge(one) == one
    assert merged.reached(one)
    assert merged.reached(two)
    # It is the least that has reached both.
    if three.reached(one) and three.reached(two):
        assert three.reached(merged)


@given(POSITIONS, POSITIONS, POSITIONS)
def test_reaching_is_an_order(one: Position, two: Position, three: Position) -> None:
    assert one.reached(one)
    assert one.reached(Position())
    if one.reached(two) and two.reached(three):
        assert one.reached(three)
    if one.reached(two) and two.reached(one):
        assert one.merge(two).offsets == two.merge(one).offsets


@given(POSITIONS)
def test_a_part_is_reached_by_the_whole(position: Position) -> None:
    part = position.only(["plain", "shop.user.events"])
    assert position.reached(part)
    assert part.merge(position) == position


def test_a_topic_that_was_made_again_is_another() -> None:
    old, new = Position({("t", 0): 5}, {"t": "old"}), Position({("t", 0): 1}, {"t": "new"})
    for meet in (old.reached, old.merge):
        with pytest.raises(InvalidPosition, match="another topic named t"):
            meet(new)
    assert old.reached(Position({("t", 0): 5}))
