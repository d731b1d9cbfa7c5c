"""A history as of a moment: what is before it is there, what is after it is not, and rubbish is refused."""

import pytest

from schemas.errors import InvalidPosition
from schemas.metadata import EventMetadata
from schemas.position import Position
from schemas.shop.users import EmailChanged
from streams.event_store.history import History, Recorded
from streams.event_store.moment import Moment, as_of, parse_moment

PLACE = ("shop.user.events", 1)


def recorded(version: int, offset: int, time_ms: int) -> Recorded[EmailChanged]:
    about = EventMetadata(f"c{version}-1", f"c{version}", "c", "c", version, time_ms)
    return Recorded(EmailChanged(user_id="ada", email=f"{version}@x"), about, offset)


HISTORY = History(
    "ada", (recorded(1, 3, 1_000), recorded(2, 5, 2_000), recorded(3, 9, 3_000)), Position({PLACE: 10}, {PLACE[0]: "u"})
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("shop.user.events@u:1=0", 0),
        ("shop.user.events@u:1=5", 1),
        ("shop.user.events@u:1=6", 2),
        ("shop.user.events@u:1=10", 3),
        ("1970-01-01T00:00:00.999", 0),
        ("1970-01-01T00:00:02+00:00", 2),
        ("1970-01-01T01:00:02+01:00", 2),
        ("2001-01-01", 3),
    ],
)
def test_a_history_is_cut_at_the_moment(text: str, version: int) -> None:
    assert as_of(HISTORY, parse_moment(text), PLACE).version == version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yesterday", "neither a position"),
        ("", "neither a position"),
        ("a@b", "is not of the form"),
        ("shop.user.events@u:0=5", "says nothing of partition 1"),
        ("shop.user.events@other:1=5", "another topic"),
    ],
)
def test_what_is_no_moment_of_this_history_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidPosition, match=said):
        as_of(HISTORY, parse_moment(text), PLACE)


def test_an_event_decided_after_a_later_one_stays_out() -> None:
    back = History("ada", (*HISTORY.recorded, recorded(4, 10, 1_500)), HISTORY.position)
    assert as_of(back, Moment(time_ms=2_500), PLACE).version == 2
