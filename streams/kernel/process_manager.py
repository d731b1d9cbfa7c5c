"""A process manager: a pure function from what happened, and its own state, to commands.

`react(state, fact, meta)` returns the state after the fact, or None when the process is over, and the commands that
follow. A **fact** is an event of one of its aggregates, or an `Answered`: the answer to a command that this process
sent, which is how it learns of refusals, since a refusal leaves no event. A process that does not exist yet is given as
the state's defaults with its key filled in. The key is the aggregate's id, unless `key` says otherwise; an answer goes
to the process that sent the command.

Promises: which facts it takes and which commands it sends is read off `react`'s annotations; a command's id is derived
from the fact's id and the command's number, so that to send it again is no second effect.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from schemas.errors import DefinitionError
from schemas.messages import Command, Event
from schemas.metadata import EventMetadata
from schemas.outcomes import Accepted, Outcome, Rejected
from streams.kernel.aggregate import Aggregate, flatten
from streams.kernel.projection import Row, check_name, check_row, row_maker

StateT = TypeVar("StateT", bound=Row)
Cmd = TypeVar("Cmd", bound=Command[Any, Any])
Fact = TypeVar("Fact")

Reaction: TypeAlias = tuple[StateT | None, Sequence[Cmd]]
"""What `react` returns: `-> Reaction[Transfer, ReceiveCredit | ReturnCredit]`."""

FactMetadata: TypeAlias = EventMetadata | Outcome
"""What the platform says about a fact: an event's metadata, or the outcome that an answer came in."""


@dataclass(frozen=True)
class Answered(Generic[Cmd]):
    """The answer to a command that this process sent. In annotations: `Answered[ReceiveCredit | ReturnCredit]`."""

    command: Cmd
    answer: Accepted[Any] | Rejected[Any]


@dataclass(frozen=True)
class ProcessManager(Generic[StateT, Fact]):
    """`of`: the aggregates whose events it takes. `key`: event → which process (default: the aggregate's id)."""

    name: str
    version: int
    state: type[StateT]
    of: Sequence[Aggregate[Any, Any, Any]]
    react: Callable[[StateT, Fact, Any], Reaction[StateT, Any]]
    key: Callable[[Any], Any] | None = None
    event_types: frozenset[type[Event]] = field(init=False)
    awaited_types: frozenset[type[Command[Any, Any]]] = field(init=False)
    command_types: frozenset[type[Command[Any, Any]]] = field(init=False)
    _make: Callable[[Any], StateT] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read facts and commands off `react`, and check them with the state and the sources."""
        check_name("process manager", self.name, self.version)
        check_row(f"process manager {self.name}", self.state)
        facts, commands = self._annotations()
        answers = [fact for fact in facts if get_origin(fact) is Answered]
        events = frozenset(fact for fact in facts if fact not in answers)
        awaited = frozenset(each for fact in answers for each in flatten(get_args(fact)[0]))
        self._refuse(events - {each for aggregate in self.of for each in aggregate.event_types}, "an event of `of`")
        self._refuse(awaited - commands, "a command that `react` returns, so there is no answer to it")
        object.__setattr__(self, "event_types", events)
        object.__setattr__(self, "awaited_types", awaited)
        object.__setattr__(self, "command_types", commands)
        object.__setattr__(self, "_make", row_maker(self.state))

    @property
    def row(self) -> type[StateT]:
        """The state's model; each process's state is a row."""
        return self.state

    @cached_property
    def key_field(self) -> str:
        """The name of the state's key field."""
        return next(iter(self.state.model_fields))

    def key_of(self, event: Any) -> Any:
        """Return the key of the process that the event concerns."""
        return event.aggregate_id if self.key is None else self.key(event)

    def new_row(self, key: Any) -> StateT:
        """Return the state of a process before its first fact."""
        return self._make(key)

    def command_id(self, fact_id: str, number: int) -> str:
        """Return the id of the n-th command (from 1) that follows from a fact, of one length after any chain."""
        digest = hashlib.sha256(f"{self.name}\0{fact_id}\0{number}".encode()).hexdigest()[:32]
        return f"{self.name}-{digest}"

    def is_own(self, command_id: str) -> bool:
        """Return whether a command's id may be of a command that this process manager sent."""
        return command_id.startswith(f"{self.name}-")

    def _annotations(self) -> tuple[tuple[Any, ...], frozenset[type[Command[Any, Any]]]]:
        try:
            hints = get_type_hints(self.react)
            reaction = get_args(hints.pop("return"))
            commands = frozenset(flatten(get_args(reaction[1])[0]))
            facts = flatten(list(hints.values())[1])
        except (NameError, TypeError, IndexError, KeyError) as error:
            raise DefinitionError(
                f"process manager {self.name}: react needs the annotations (state: {self.state.__name__}, fact: …, "
                f"meta: …) -> Reaction[{self.state.__name__}, …]: {error}"
            ) from error
        self._refuse({each for each in commands if not _is(each, Command)}, "a command")
        return facts, commands

    def _refuse(self, strangers: Any, what: str) -> None:
        names = ", ".join(sorted(getattr(each, "__name__", repr(each)) for each in strangers))
        if names:
            raise DefinitionError(f"process manager {self.name}: {names} is not {what}")


def _is(each: Any, base: type[Any]) -> bool:
    return isinstance(each, type) and issubclass(each, base)
