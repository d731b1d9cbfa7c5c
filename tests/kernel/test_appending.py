"""Appended events go through the same step as every command, and only where the aggregate's policy allows it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import pytest
from pydantic import Field

from schemas.appending import AppendEvents, AppendProblem
from schemas.errors import DefinitionError, HandlerNotFound
from schemas.messages import AggregateId, Command, Event
from schemas.metadata import EventMetadata
from schemas.outcomes import Accepted, CommandFailed, Rejected, VersionConflict
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.appending import Appending
from streams.kernel.application import Application
from streams.kernel.bus import InProcessCommandBus, registry_of
from tests.kernel.counters import COUNTER, Add, Added, Counter

OPEN = replace(COUNTER, append="allowed")
APPLICATION = Application("counters", aggregates=[OPEN])
BLANK = EventMetadata("", "", "", "", 0, 0)


class Do(Command[None, None]):
    thing_id: Annotated[str, AggregateId]


class Done(Event):
    thing_id: Annotated[str, AggregateId]
    times: int = Field(ge=1)


def encoded(*events: Event, application: Application = APPLICATION) -> tuple[bytes, ...]:
    codec = application.event_codec(application.aggregates[0], registry_of(application))
    return tuple(codec.encode(event, BLANK) for event in events)


def append(*bodies: bytes, target: str = "c", aggregate: str = "counter") -> AppendEvents:
    return AppendEvents(aggregate=aggregate, target_id=target, events=bodies)


def test_appended_events_get_the_owner_s_metadata_and_count_for_what_follows() -> None:
    bus = InProcessCommandBus(APPLICATION, now_ms=lambda: 7)
    bus.dispatch(Add(counter_id="c", amount=1))
    answer = bus.dispatch(
        append(*encoded(Added(counter_id="c", amount=2), Added(counter_id="c", amount=3))), command_id="x"
    )

    assert isinstance(answer, Accepted)
    assert (answer.result, answer.version, answer.event_ids) == (None, 3, ("x-1", "x-2"))
    assert bus.events(OPEN)[1] == (Added(counter_id="c", amount=2), EventMetadata("x-1", "x", "x", "x", 2, 7))
    assert bus.dispatch(Add(counter_id="c", amount=0)).result == 6  # type: ignore[union-attr]


def test_an_append_is_deduplicated_and_its_expected_version_holds() -> None:
    bus, one = InProcessCommandBus(APPLICATION), append(*encoded(Added(counter_id="c", amount=1)))
    first = bus.dispatch(one, command_id="x", expected_version=0)

    assert bus.dispatch(one, command_id="x", expected_version=0) == first
    assert bus.dispatch(one, expected_version=0) == Rejected(VersionConflict(expected=0, actual=1))
    assert len(bus.events(OPEN)) == 1


def test_nothing_appended_changes_nothing() -> None:
    answer = InProcessCommandBus(APPLICATION).dispatch(append())
    assert isinstance(answer, Accepted)
    assert answer.version == 0


def test_an_aggregate_refuses_by_default() -> None:
    bus = InProcessCommandBus(Application("counters", aggregates=[COUNTER]))
    answer = bus.dispatch(append(*encoded(Added(counter_id="c", amount=1))))
    assert answer == Rejected(AppendProblem.FORBIDDEN, 'counter is not declared with append="allowed"')
    assert bus.events(COUNTER) == []


def test_a_policy_is_one_of_two() -> None:
    with pytest.raises(DefinitionError, match='append="yes": say "allowed" or "refused"'):
        replace(COUNTER, append="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bodies", "problem", "detail"),
    [
        ((b"",), AppendProblem.NOT_AN_EVENT, "event 1: TruncatedMessage"),
        ((b"{json?}",), AppendProblem.NOT_AN_EVENT, "event 1: WrongMagicByte"),
        ((b"\0\xff\xff\xff\xffx",), AppendProblem.NOT_AN_EVENT, "event 1: UnknownSchemaId"),
        ((encoded(Added(counter_id="c", amount=1))[0] + b"!",), AppendProblem.NOT_AN_EVENT, "event 1: TrailingBytes"),
        (
            encoded(Added(counter_id="c", amount=1), Added(counter_id="d", amount=1)),
            AppendProblem.OTHER_AGGREGATE,
            "event 2 is of 'd', not of 'c'",
        ),
    ],
)
def test_what_is_no_event_of_the_aggregate_is_refused_all_or_none(
    bodies: Sequence[bytes], problem: AppendProblem, detail: str
) -> None:
    bus = InProcessCommandBus(APPLICATION)
    answer = bus.dispatch(append(*bodies))

    assert isinstance(answer, Rejected)
    assert answer.problem is problem
    assert answer.detail is not None
    assert answer.detail.startswith(detail)
    assert bus.events(OPEN) == []


def test_an_event_that_breaks_its_own_rules_is_refused() -> None:
    def decides(_state: State, _command: Do) -> Sequence[Done]:
        return []

    def evolves(state: State, _event: Done) -> State:
        return state

    thing: Aggregate[State, Do, Done] = Aggregate("thing", State(), decides, evolves, append="allowed")
    things = Application("things", aggregates=[thing])
    codec = things.event_codec(thing, registry_of(things))
    lax = Done.model_construct(thing_id="t", times=0)
    answer = InProcessCommandBus(things).dispatch(append(codec.encode(lax, BLANK), target="t", aggregate="thing"))

    assert isinstance(answer, Rejected)
    assert answer.problem is AppendProblem.NOT_AN_EVENT
    assert "times: Input should be greater than or equal to 1" in str(answer.detail)


def test_an_event_that_cannot_be_folded_fails_the_command() -> None:
    def evolves(_counter: Counter, _event: Added) -> Counter:
        raise ZeroDivisionError

    broken = Application("counters", aggregates=[replace(OPEN, evolve=evolves)])
    with pytest.raises(CommandFailed, match="ZeroDivisionError"):
        InProcessCommandBus(broken).dispatch(append(*encoded(Added(counter_id="c", amount=1))))


def test_an_aggregate_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(HandlerNotFound, match="no aggregate type 'order'; registered: counter"):
        InProcessCommandBus(APPLICATION).dispatch(append(aggregate="order"))


def test_another_aggregate_type_s_command_is_refused_by_the_owner_too() -> None:
    codec: Any = APPLICATION.event_codec(OPEN, registry_of(APPLICATION))
    told = Appending(OPEN, codec).decide(append(aggregate="order"))
    assert told == Rejected(AppendProblem.OTHER_AGGREGATE, "the events are for order, this is counter")
