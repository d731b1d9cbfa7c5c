"""An aggregate: the unit of consistency, and its decider.

A **decider** is three pure things. `initial` is the state before the first event; `decide(state, command)` returns the
events that the command causes, or a `Rejected`; `evolve(state, event)` returns the next state. One more is optional:
`result(state_after, events)` is what an accepted command answers, of commands that answer something. None of them may
look at a clock, make an id, or do I/O: they are called again when the log is read. (After Jérémie Chassaing's decider
pattern.)

Promises: which commands and events an aggregate has is read off the functions' annotations, and a declaration that does
not fit together is refused when it is made.
"""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from schemas.errors import DefinitionError
from schemas.messages import Command, Event
from schemas.outcomes import Rejected
from schemas.values import Value

S = TypeVar("S", bound="State")
C = TypeVar("C", bound=Command[Any, Any])
Ev = TypeVar("Ev", bound=Event)


class State(Value):
    """The base of aggregates' states: what `decide` needs to know of the past, and no more."""


@dataclass(frozen=True)
class Aggregate(Generic[S, C, Ev]):
    """One aggregate type: its name (part of its topics' names) and its decider.

    `append`: whether it takes events that were decided elsewhere, as they are.
    """

    name: str
    initial: S
    decide: Callable[[S, C], Sequence[Ev] | Rejected[Any]]
    evolve: Callable[[S, Ev], S]
    result: Callable[[S, Sequence[Ev]], Any] | None = None
    append: Literal["refused", "allowed"] = "refused"
    command_types: tuple[type[C], ...] = field(init=False)
    event_types: tuple[type[Ev], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Read the message types off the functions, and check that they fit together."""
        if not self.name.replace("_", "").isalnum() or not self.name.islower():
            raise DefinitionError(f"aggregate name {self.name!r}: use lower-case letters, digits and underscores")
        if self.append not in ("refused", "allowed"):
            raise DefinitionError(f'aggregate {self.name}: append="{self.append}": say "allowed" or "refused"')
        object.__setattr__(self, "command_types", _members(self.decide, 1, Command))
        object.__setattr__(self, "event_types", _members(self.evolve, 1, Event))

    def fold(self, events: Sequence[Ev], state: S | None = None) -> S:
        """Return the state after the events, from `state` or from the initial one."""
        current = self.initial if state is None else state
        for event in events:
            current = self.evolve(current, event)
        return current


def _members(function: Callable[..., Any], position: int, base: type[Any]) -> tuple[Any, ...]:
    """Return the message types that a function's parameter is annotated with."""
    name = getattr(function, "__name__", repr(function))
    try:
        hints = [hint for key, hint in get_type_hints(function).items() if key != "return"]
        members = flatten(hints[position])
    except (NameError, TypeError, IndexError) as error:
        problem = f"{name} needs two annotated parameters, the second a {base.__name__}: {error}"
        raise DefinitionError(problem) from error
    for member in members:
        if not (isinstance(member, type) and issubclass(member, base)):
            raise DefinitionError(f"{name}: {member!r} is not a {base.__name__}")
    return members


def flatten(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the one type that it is."""
    if get_origin(annotation) is Annotated:
        return flatten(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(each for member in get_args(annotation) for each in flatten(member))
    return (annotation,)
