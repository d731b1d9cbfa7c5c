"""Figures: counting batches, what is too old, sums of workers; and that the Faust table forgets old windows."""

import asyncio
import time
from typing import NamedTuple

import faust
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import TruncatedMessage
from schemas.outcomes import Outcome
from schemas.position import Place
from streams.watching.figures import (
    KEPT_S,
    MINUTE_MS,
    MINUTE_S,
    UNREADABLE,
    Counted,
    Kind,
    Tally,
    facts,
    merged,
    recent,
    tally_answers,
    tally_events,
)
from streams.watching.metrics import Metrics, Part
from streams.worker.figures import Figures

PLACE: Place = ("shop.user.events", 3)
MINUTES = st.integers(0, 5).map(lambda number: number * MINUTE_S)
COUNTED = st.builds(Counted, st.sampled_from(Kind), st.sampled_from("ab"), st.sampled_from(["", "x"]))
TALLIES = st.dictionaries(st.tuples(MINUTES, COUNTED), st.integers(1, 9))


class Record(NamedTuple):
    """A record, as far as it is looked at."""

    offset: int
    timestamp: int
    value: bytes | None


def outcome(status: str, problem: str | None = None, command: str = "Add") -> Outcome:
    return Outcome("id", command, status, 1, None, [], None, problem, None, "id", 0)


def test_events_are_counted_by_their_first_bytes() -> None:
    names = {b"\0\0\0\0\1": "Added", b"": UNREADABLE}
    records = [Record(0, 5, b"\0\0\0\0\1abc"), Record(1, MINUTE_MS - 1, b"\0\0\0\0\1"), Record(2, MINUTE_MS, None)]
    assert tally_events("counter", names.__getitem__, records) == {
        (0, Counted(Kind.EVENTS, "counter.Added")): 2,
        (MINUTE_S, Counted(Kind.EVENTS, f"counter.{UNREADABLE}")): 1,
    }


def test_answers_are_counted_by_status_and_rejections_by_problem() -> None:
    answers = {
        b"a": outcome("accepted"),
        b"r": outcome("rejected", '["too-much","3 are left"]'),
        b"o": outcome("rejected", '[{"left":3},null]'),
        b"c": outcome("conflict"),
        b"f": outcome("failed", command=""),
    }

    def decode(data: bytes) -> Outcome:
        if data not in answers:
            raise TruncatedMessage("nothing")
        return answers[data]

    found = tally_answers(
        "counter", decode, [Record(0, 1, each) for each in (b"a", b"a", b"r", b"o", b"c", b"f", b"?")]
    )
    assert found == {
        (0, Counted(Kind.COMMANDS, "counter.Add", "accepted")): 2,
        (0, Counted(Kind.COMMANDS, "counter.Add", "rejected")): 2,
        (0, Counted(Kind.COMMANDS, "counter.Add", "conflict")): 1,
        (0, Counted(Kind.COMMANDS, f"counter.{UNREADABLE}", "failed")): 1,
        (0, Counted(Kind.COMMANDS, f"counter.{UNREADABLE}", UNREADABLE)): 1,
        (0, Counted(Kind.REJECTIONS, "counter.Add", "too-much")): 1,
        (0, Counted(Kind.REJECTIONS, "counter.Add", "other")): 1,
    }


@given(st.lists(TALLIES))
def test_what_workers_say_is_summed(parts: list[Tally]) -> None:
    total = merged(facts(each) for each in parts)
    assert sum(total.values()) == sum(number for each in parts for number in each.values())
    assert all(number == sum(each.get(key, 0) for each in parts) for key, number in total.items())


def test_a_minute_is_kept_until_its_end_is_an_hour_ago() -> None:
    tally = {(0, Counted(Kind.EVENTS, "a")): 1}
    assert recent(tally, MINUTE_S + KEPT_S - 1) == tally
    assert recent(tally, MINUTE_S + KEPT_S) == {}


def test_the_table_forgets_windows_that_are_old() -> None:
    async def forget() -> None:
        figures = Figures("", "shop", {}, {}, Metrics(Part.WORKER))
        figures.attach(faust.App("figures", broker="kafold://127.0.0.1:9", store="memory://"))
        now = int(time.time()) // MINUTE_S * MINUTE_S
        new, old = Counted(Kind.EVENTS, "new"), Counted(Kind.EVENTS, "old")
        figures._add(PLACE, {(now, new): 2, (now - KEPT_S - 3 * MINUTE_S, old): 3})
        figures._add(PLACE, {(now, new): 1})
        assert len(figures._table) == 2
        assert figures.tally() == {(now, new): 3}
        await figures._table._del_old_keys()
        assert len(figures._table) == 1
        assert figures.tally() == {(now, new): 3}

    asyncio.run(forget())
