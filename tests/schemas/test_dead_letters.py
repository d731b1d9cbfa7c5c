"""A dead letter keeps the original exactly, and says why and whence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letters import DeadLetter, noted_origin
from schemas.errors import InvalidValue
from schemas.metadata import ID_HEADER, implied_id

BYTES = st.none() | st.binary(max_size=20)
HEADERS = st.lists(st.tuples(st.sampled_from(["traceparent", "kafold.reason", "kafold.offset", ""]), BYTES), max_size=4)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=9)
LETTERS = st.builds(
    DeadLetter, TEXTS, st.integers(0), st.integers(0), st.integers(-1), BYTES, BYTES, HEADERS, TEXTS, TEXTS
)


@given(LETTERS)
def test_everything_of_the_original_is_restored(letter: DeadLetter) -> None:
    assert DeadLetter.from_record(letter.key, letter.value, letter.to_headers()) == letter


@given(LETTERS, LETTERS)
def test_a_dead_letter_of_a_dead_letter(first: DeadLetter, second: DeadLetter) -> None:
    outer = second._replace(headers=first.to_headers(), key=first.key, value=first.value)
    restored = DeadLetter.from_record(outer.key, outer.value, outer.to_headers())
    assert DeadLetter.from_record(restored.key, restored.value, restored.headers) == first


def test_a_reason_that_is_no_text_is_still_written() -> None:
    letter = DeadLetter("t", 0, 1, 2, None, None, [], "InvalidValue", "odd \ud800")
    assert DeadLetter.from_record(None, None, letter.to_headers()).reason == "odd \\ud800"


@pytest.mark.parametrize(
    "headers",
    [None, [], [("traceparent", b"x")] * 6, DeadLetter("t", 0, 1, 2, None, None, [], "e", "r").to_headers()[1:],
     [("kafold.topic", b"t"), ("kafold.partition", b"x"), ("kafold.offset", b"1"), ("kafold.timestamp_ms", b"1"),
      ("kafold.error", b"e"), ("kafold.reason", b"r")],
     [("kafold.topic", b"\xff"), ("kafold.partition", b"1"), ("kafold.offset", b"1"), ("kafold.timestamp_ms", b"1"),
      ("kafold.error", b"e"), ("kafold.reason", None)]],
)  # fmt: skip
def test_what_is_no_dead_letter_is_refused(headers: list[tuple[str, bytes | None]] | None) -> None:
    with pytest.raises(InvalidValue, match="no dead letter"):
        DeadLetter.from_record(None, None, headers)


@given(LETTERS)
def test_sent_again_a_command_keeps_the_id_of_its_first_place(letter: DeadLetter) -> None:
    again = letter.again()
    assert implied_id("elsewhere", 7, 8, again) == letter.origin
    assert [each for each in again if each[0] != ID_HEADER] == list(letter.headers)
    # And so when it fails once more, and is sent from its second letter.
    assert letter._replace(topic="elsewhere", offset=8, headers=again).again() == again


@pytest.mark.parametrize("value", [None, b"", b"\xff"])
def test_what_is_no_id_is_none(value: bytes | None) -> None:
    letter = DeadLetter("t", 0, 1, 2, None, None, [(ID_HEADER, value)], "e", "r")
    assert letter.again() == [(ID_HEADER, b"t-0-1")]


@given(LETTERS)
def test_a_note_is_about_one_letter_and_is_none(letter: DeadLetter) -> None:
    assert noted_origin(letter.note()) == letter.origin
    assert noted_origin(letter.to_headers()) is None
    with pytest.raises(InvalidValue):
        DeadLetter.from_record(letter.key, None, letter.note())
