"""Endings: which of them whoever asked could tell apart."""

import pytest

from schemas.outcomes import Outcome, Status
from streams.kernel.redeciding import Ending, differs, recorded
from tests.kernel.counters import Added

ONE, TWO = Added(counter_id="c", amount=1), Added(counter_id="c", amount=2)


def accepted(*events: Added, answer: str | None = "1") -> Ending:
    return Ending(Status.ACCEPTED, events, answer)


def rejected(problem: str) -> Ending:
    return Ending(Status.REJECTED, (), problem)


CONFLICT, FAILED = Ending(Status.CONFLICT), Ending(Status.FAILED, (), "ZeroDivisionError: now")
NOT_KEPT = Ending(None)


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        (accepted(ONE), accepted(ONE), False),
        (accepted(ONE), accepted(ONE, answer="2"), True),
        (accepted(ONE, answer='{"a": 1, "b": 2}'), accepted(ONE, answer='{"b":2,"a":1}'), False),
        (accepted(ONE, answer=None), accepted(ONE, answer="2"), False),
        (accepted(ONE), accepted(TWO), True),
        (accepted(ONE), accepted(ONE, ONE), True),
        (accepted(ONE), accepted(), True),
        (accepted(), accepted(), False),
        (accepted(ONE), rejected('["closed",null]'), True),
        (rejected('["closed","at noon"]'), rejected('["closed","at one"]'), False),
        (rejected('["closed",null]'), rejected('["not-open",null]'), True),
        (rejected('["closed",null]'), CONFLICT, True),
        (CONFLICT, CONFLICT, False),
        (Ending(Status.FAILED, (), "KeyError: 'x'"), FAILED, False),
        (FAILED, accepted(ONE), True),
        (NOT_KEPT, accepted(ONE), True),
        (NOT_KEPT, accepted(), False),
        (NOT_KEPT, rejected('["closed",null]'), False),
        (NOT_KEPT, FAILED, False),
        (Ending(Status.ACCEPTED, ("WrongType: gone",)), Ending(Status.ACCEPTED, ("WrongType: gone",)), True),
    ],
)
def test_endings_differ_if_who_asked_could_tell(then: Ending, now: Ending, expected: bool) -> None:
    assert differs(then, now) is expected


def test_without_its_outcome_an_ending_is_told_by_its_events() -> None:
    assert recorded(None, [ONE]) == Ending(Status.ACCEPTED, (ONE,), None)
    assert recorded(None, []) == NOT_KEPT
    outcome = Outcome("c", "Add", "rejected", 1, None, [], None, '["too-much",null]', None, "c", 1)
    assert recorded(outcome, []) == rejected('["too-much",null]')


@pytest.mark.parametrize(
    ("ending", "kind", "told"),
    [
        (accepted(ONE, TWO), "accepted", "accepted: Added, Added"),
        (accepted(), "accepted", "accepted: nothing"),
        (rejected('["too-much","5 are left"]'), "rejected too-much", "rejected too-much"),
        (rejected('[{"limit":5},null]'), 'rejected {"limit": 5}', 'rejected {"limit": 5}'),
        (CONFLICT, "conflict", "conflict"),
        (FAILED, "failed", "failed: ZeroDivisionError: now"),
        (NOT_KEPT, "no events", "no events"),
    ],
)
def test_an_ending_is_told_in_a_line_and_counted_by_its_kind(ending: Ending, kind: str, told: str) -> None:
    assert (ending.kind, str(ending)) == (kind, told)
