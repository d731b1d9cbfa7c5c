"""Given, when, then: the rules of an aggregate as sentences, without engines.

::

    given(account, opened("a1")).when(purchase("a1", cents=1200)).then(bought("a1", cents=1200))
    given(account).when(purchase("a1", cents=1200)).then_rejected(AccountProblem.NOT_OPEN)
    given(user, created("u1"), deactivated("u1")).when(deactivate("u1")).then_nothing()

Three questions to every command: the right events, the right refusal, the right silence.

Promises: pure; events that were decided are folded too, as the processor does before it accepts a command, so that an
`evolve` or a `result` that fails is found here; what does not hold is an AssertionError that shows both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from schemas.messages import Command, Event
from schemas.outcomes import Rejected
from streams.kernel.aggregate import Aggregate, State

S = TypeVar("S", bound=State)
C = TypeVar("C", bound=Command[Any, Any])
Ev = TypeVar("Ev", bound=Event)


def given(aggregate: Aggregate[S, C, Ev], *events: Ev) -> "Given[S, C, Ev]":
    """Begin with what has happened to one aggregate."""
    return Given(aggregate, aggregate.fold(events))


@dataclass(frozen=True)
class Given(Generic[S, C, Ev]):
    """An aggregate in the state that its events led to."""

    aggregate: Aggregate[S, C, Ev]
    state: S

    def when(self, command: C) -> "Decided[S, Ev]":
        """Ask it something."""
        decided = self.aggregate.decide(self.state, command)
        if isinstance(decided, Rejected):
            return Decided(decided, self.state, None)
        strangers = [event for event in decided if event.aggregate_id != command.aggregate_id]
        if strangers:
            raise AssertionError(
                f"the command is for {command.aggregate_id!r}, but this event is not: {strangers[0]!r}"
            )
        state = self.aggregate.fold(decided, self.state)
        answer = None if self.aggregate.result is None else self.aggregate.result(state, decided)
        return Decided(list(decided), state, answer)


@dataclass(frozen=True)
class Decided(Generic[S, Ev]):
    """What was decided: events or a refusal, the state afterwards, and what the command answers when accepted."""

    decided: list[Ev] | Rejected[Any]
    state: S
    answer: Any

    def then(self, *events: Ev) -> "Decided[S, Ev]":
        """Check that exactly these events were decided, in this order."""
        _check(list(events), self.decided)
        return self

    def then_nothing(self) -> "Decided[S, Ev]":
        """Check that the command was accepted, and that it changed nothing."""
        return self.then()

    def then_rejected(self, problem: Any, detail: str | None = None) -> "Decided[S, Ev]":
        """Check that the command was refused with this problem; and with this text for people, if one is given."""
        told = self.decided.detail if isinstance(self.decided, Rejected) and detail is None else detail
        _check(Rejected(problem, told), self.decided)
        return self

    def answering(self, answer: Any) -> "Decided[S, Ev]":
        """Check what the accepted command answers."""
        _check(answer, self.answer)
        return self


def _check(expected: object, actual: object) -> None:
    if actual != expected:
        raise AssertionError(f"expected {_shown(expected)}\nbut got  {_shown(actual)}")


def _shown(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(f"\n  {each!r}" for each in value) or "nothing"
    return repr(value)
