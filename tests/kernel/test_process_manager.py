"""Process managers: what fits together, ids that repeat, facts that are too old, and the words of their tests."""

from dataclasses import replace
from typing import Any

import pytest

from schemas.errors import DefinitionError
from schemas.messages import Command
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import Outcome, Rejected, Status
from schemas.rows import Row
from streams.kernel.application import Application
from streams.kernel.errors import BeyondDedupeWindow
from streams.kernel.process_manager import Answered, FactMetadata, ProcessManager, Reaction
from streams.kernel.reacting import Encoded, Reactions
from streams.kernel.testing import given
from tests.kernel.counters import COUNTER, Add, Added, CounterProblem, Split

DAY_MS = 24 * 3600 * 1000
NOW_MS = 100 * DAY_MS
WINDOW_MS = 7 * DAY_MS


class Echo(Row):
    """One counter's echo."""

    counter_id: str
    heard: int = 0
    refused: int = 0


def react(echo: Echo, fact: Added | Answered[Add], meta: FactMetadata) -> Reaction[Echo, Add]:
    """Add to the next counter what was added to this one, unless it was nothing; below zero it is over."""
    if isinstance(fact, Answered):
        return echo.but(refused=echo.refused + isinstance(fact.answer, Rejected)), []
    if fact.amount < 0:
        return None, []
    repeats = [Add(counter_id=f"{fact.counter_id}'", amount=fact.amount)] * min(fact.amount, 2)
    return echo.but(heard=echo.heard + 1), repeats


ECHO = ProcessManager("echo", version=1, state=Echo, of=[COUNTER], react=react)


def meta(time_ms: int = NOW_MS) -> EventMetadata:
    return EventMetadata("c-1", "c", "talk", "before", 1, time_ms)


def encode(command: Command[Any, Any], metadata: CommandMetadata) -> Encoded:
    return Encoded("topic", command.aggregate_id.encode(), repr(metadata).encode())


def reactions(window_ms: int | None = WINDOW_MS) -> Reactions:
    return Reactions(ECHO, encode, NOW_MS, window_ms)


def test_facts_and_commands_are_read_off_the_annotations() -> None:
    assert ECHO.event_types == {Added}
    assert ECHO.awaited_types == ECHO.command_types == {Add}


def test_a_command_s_id_follows_from_the_fact_s_and_its_number() -> None:
    first, second = ECHO.command_id("c-1", 1), ECHO.command_id("c-1", 2)
    assert first == ECHO.command_id("c-1", 1)
    assert len({first, second, ECHO.command_id("c-11", 1), replace(ECHO, name="other").command_id("c-1", 1)}) == 4
    assert ECHO.is_own(first)
    assert not replace(ECHO, name="ech").is_own(first)


def test_commands_carry_the_conversation_and_their_cause() -> None:
    made = reactions()
    assert made.project(Echo(counter_id="a"), Added(counter_id="a", amount=2), meta()) == Echo(counter_id="a", heard=1)
    first, second = made.decided
    about = CommandMetadata(ECHO.command_id("c-1", 1), "talk", "c-1", None, NOW_MS)
    assert first.encoded == Encoded("topic", b"a'", repr(about).encode())
    assert (first.key, first.answer_wanted, first.fact_ms) == ("a", True, NOW_MS)
    assert second.command_id == ECHO.command_id("c-1", 2)


def test_an_answer_is_noted_as_taken() -> None:
    made = reactions()
    outcome = Outcome("echo-1", "Add", Status.REJECTED, 1, None, [], None, None, None, "talk", NOW_MS)
    answered = Answered(Add(counter_id="a'", amount=1), Rejected(CounterProblem.TOO_MUCH))
    assert made.project(Echo(counter_id="a"), answered, outcome).refused == 1
    assert made.answered == ["echo-1"]


@pytest.mark.parametrize(("age_ms", "refused"), [(WINDOW_MS - 61_000, False), (WINDOW_MS - 59_000, True)])
def test_a_fact_beyond_the_dedupe_window_is_refused_a_minute_early(age_ms: int, refused: bool) -> None:
    made, event, old = reactions(), Added(counter_id="a", amount=1), meta(NOW_MS - age_ms)
    if refused:
        with pytest.raises(BeyondDedupeWindow, match=r"Added of 1970-04-04 .* Add a' \(command id echo-[0-9a-f]{32}\)"):
            made.project(Echo(counter_id="a"), event, old)
        assert not made.decided
    else:
        made.project(Echo(counter_id="a"), event, old)
        assert len(made.decided) == 1


def test_an_old_fact_from_which_nothing_follows_is_taken() -> None:
    made = reactions()
    assert made.project(Echo(counter_id="a"), Added(counter_id="a", amount=0), meta(0)).heard == 1


def test_where_nothing_is_sent_no_fact_is_too_old() -> None:
    made = reactions(window_ms=None)
    assert made.project(Echo(counter_id="a"), Added(counter_id="a", amount=1), meta(0)).heard == 1


def test_a_command_that_is_not_declared_is_refused() -> None:
    def strays(echo: Echo, fact: Added, meta: FactMetadata) -> Reaction[Echo, Add]:
        return echo, [Split(counter_id="a", amount=1)]  # type: ignore[list-item]

    stray = ProcessManager("stray", version=1, state=Echo, of=[COUNTER], react=strays)
    with pytest.raises(TypeError, match="react returned Split, which is not in its annotation"):
        given(stray).when(Added(counter_id="a", amount=1))


def test_sources_answers_and_commands_must_fit_together() -> None:
    def deaf(echo: Echo, fact: Answered[Split], meta: FactMetadata) -> Reaction[Echo, Add]:
        raise NotImplementedError

    def silent(echo: Echo, fact: Added, meta: FactMetadata) -> Echo:
        raise NotImplementedError

    with pytest.raises(DefinitionError, match="Added is not an event of `of`"):
        replace(ECHO, of=[])
    with pytest.raises(DefinitionError, match="Split is not a command that `react` returns"):
        ProcessManager("deaf", version=1, state=Echo, of=[COUNTER], react=deaf)
    with pytest.raises(DefinitionError, match=r"react needs the annotations .* -> Reaction\[Echo, …\]"):
        ProcessManager("silent", version=1, state=Echo, of=[COUNTER], react=silent)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="process manager 'My-echo' v1: a lower-case name"):
        replace(ECHO, name="My-echo")


def test_an_application_has_who_takes_its_process_managers_commands() -> None:
    Application("whole", aggregates=[COUNTER], process_managers=[ECHO])
    with pytest.raises(DefinitionError, match="echo takes events of counter, which is not in half"):
        Application("half", aggregates=[], process_managers=[ECHO])
    with pytest.raises(DefinitionError, match="two views are called echo"):
        Application("twice", aggregates=[COUNTER], process_managers=[ECHO, ECHO])


def test_given_when_then_says_what_does_not_hold() -> None:
    event, answer = Added(counter_id="a", amount=1), Answered(Add(counter_id="a'", amount=1), Rejected(None))
    given(ECHO, event).when(answer).then_state(Echo(counter_id="a", heard=1, refused=1)).then_sends_nothing()
    given(ECHO, event).when(event.but(amount=-1)).then_over()
    with pytest.raises(AssertionError, match="expected nothing"):
        given(ECHO).when(event).then_sends_nothing()
    with pytest.raises(AssertionError, match="the process has not sent"):
        given(ECHO).when(answer)
    with pytest.raises(AssertionError, match="this process is 'a', but the event is of 'b'"):
        given(ECHO, event).when(event.but(counter_id="b"))
    with pytest.raises(AssertionError, match="expected None"):
        given(ECHO).when(event).then_over()
