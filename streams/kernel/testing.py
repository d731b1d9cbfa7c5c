"""Given, when, then: the rules of an aggregate, and the ways of a process manager, as sentences, without engines.

::

    given(account, opened("a1")).when(purchase("a1", cents=1200)).then(bought("a1", cents=1200))
    given(account).when(purchase("a1", cents=1200)).then_rejected(AccountProblem.NOT_OPEN)
    given(user, created("u1"), deactivated("u1")).when(deactivate("u1")).then_nothing()

Three questions to every command: the right events, the right refusal, the right silence. And to a process manager:

::

    given(credit_transfer, sent("t1")).when(Answered(receive("t1"), Rejected(CLOSED))).then_sends(give_back("t1"))

Promises: pure; events that were decided are folded too, as the processor does before it accepts a command, so that an
`evolve` or a `result` that fails is found here; a process is told one fact after the other, each with metadata that
follows from its number; what does not hold is an AssertionError that shows both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from schemas.messages import Command, Event
from schemas.metadata import EventMetadata
from schemas.outcomes import Outcome, Rejected, Status
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.process_manager import Answered, Fact, ProcessManager
from streams.kernel.projection import Row
from streams.kernel.reacting import react

S = TypeVar("S", bound=State)
C = TypeVar("C", bound=Command[Any, Any])
Ev = TypeVar("Ev", bound=Event)
P = TypeVar("P", bound=Row)


@overload
def given(what: Aggregate[S, C, Ev], *happened: Ev) -> "Given[S, C, Ev]": ...
@overload
def given(what: ProcessManager[P, Fact], *happened: Fact) -> "GivenProcess[P, Fact]": ...
def given(what: Any, *happened: Any) -> Any:
    """Begin with what has happened to one aggregate, or with the facts that one process has had."""
    if isinstance(what, ProcessManager):
        begun = GivenProcess(what, None, (), 0)
        for fact in happened:
            then = begun.when(fact)
            begun = GivenProcess(what, then.state, (*begun.sent, *then.commands), begun.facts + 1)
        return begun
    return Given(what, what.fold(happened))


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


@dataclass(frozen=True)
class GivenProcess(Generic[P, Fact]):
    """A process in the state that its facts led to; None: it does not exist. `sent`: the commands so far."""

    manager: ProcessManager[P, Fact]
    state: P | None
    sent: tuple[Command[Any, Any], ...]
    facts: int

    def when(self, fact: Fact) -> "Reacted[P]":
        """Let something happen."""
        if isinstance(fact, Answered):
            if fact.command not in self.sent or self.state is None:
                raise AssertionError(f"the process has not sent {fact.command!r}, so there is no answer to it")
            before, number = self.state, self.facts + 1
            return Reacted(*react(self.manager, before, fact, _outcome(fact, number)))
        key = self.manager.key_of(fact)
        before = self.manager.new_row(key) if self.state is None else self.state
        known = getattr(before, self.manager.key_field)
        if known != key:
            raise AssertionError(f"this process is {known!r}, but the event is of {key!r}: {fact!r}")
        number = self.facts + 1
        meta = EventMetadata(f"fact-{number}-1", f"fact-{number}", "test", f"fact-{number}", number, number)
        return Reacted(*react(self.manager, before, fact, meta))


@dataclass(frozen=True)
class Reacted(Generic[P]):
    """How a process reacted: its state afterwards (None: it is over), and the commands that follow."""

    state: P | None
    commands: tuple[Command[Any, Any], ...]

    def then_sends(self, *commands: Command[Any, Any]) -> "Reacted[P]":
        """Check that exactly these commands follow, in this order."""
        _check(list(commands), list(self.commands))
        return self

    def then_sends_nothing(self) -> "Reacted[P]":
        """Check that no command follows."""
        return self.then_sends()

    def then_state(self, state: P) -> "Reacted[P]":
        """Check the state afterwards."""
        _check(state, self.state)
        return self

    def then_over(self) -> "Reacted[P]":
        """Check that the process is over."""
        _check(None, self.state)
        return self


def _outcome(fact: Answered[Any], number: int) -> Outcome:
    status = Status.REJECTED if isinstance(fact.answer, Rejected) else Status.ACCEPTED
    command = type(fact.command).__name__
    return Outcome(f"fact-{number}", command, status, number, None, [], None, None, None, "test", number)


def _check(expected: object, actual: object) -> None:
    if actual != expected:
        raise AssertionError(f"expected {_shown(expected)}\nbut got  {_shown(actual)}")


def _shown(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(f"\n  {each!r}" for each in value) or "nothing"
    return repr(value)
