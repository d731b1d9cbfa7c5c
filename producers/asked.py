"""An asked command: it is on its way, and its answer is waited for.

Promises: nothing is kept of it once it is forgotten; `is_taken` becomes true only when Kafka has the command.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from schemas.asking import AskOutcome
from schemas.errors import KafoldError
from schemas.messages import Command
from schemas.outcomes import MISREAD, Accepted, Outcome, Rejected, answer_of
from schemas.position import Position

R = TypeVar("R")
E = TypeVar("E")


class Answer(NamedTuple):
    """An outcome, and the partition that it and its events are on."""

    outcome: Outcome
    partition: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """The owner remembers no final outcome of a command.

    It had not arrived when the question did, or it failed, or it is longer ago than the dedupe window: unless it is the
    last of these, to send it (again) under its id is safe.
    """

    command_id: str


class OtherCommand(KafoldError):
    """The command of this id was of another type than was asked for: ask for that type."""


@dataclass(slots=True)
class Asked(Generic[R, E]):
    """One command that was asked. `future`: resolves with its outcome; `is_taken`: whether Kafka has confirmed it."""

    command: type[Command[R, E]]
    command_id: str
    future: Future[Answer]
    position_of: Callable[[Answer], Position]
    is_taken: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids under which the answer may come."""
        return (self.command_id,)

    def answer(self, found: Answer) -> Accepted[R] | Rejected[E]:
        """Return the typed answer in an outcome. Blocks the first time, to ask for the topic's UUID.

        Raises:
            CommandFailed: the command failed.
        """
        return answer_of(found.outcome, self.command, self.position_of(found))


@dataclass(slots=True)
class Question(Asked[R, E]):
    """The question for the outcome of a command that was sent before."""

    question_id: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """What is remembered comes under the command's id, that nothing is comes under the question's."""
        return self.command_id, self.question_id

    def outcome(self, found: Answer) -> Accepted[R] | Rejected[E] | Unknown:
        """Return what the answer to the question says.

        Raises:
            CommandFailed: the command was sent again meanwhile, and failed.
            OtherCommand: the command of this id was of another type.
        """
        name = found.outcome.command
        if name == AskOutcome.__name__:
            return Unknown(self.command_id)
        if name not in (self.command.__name__, MISREAD):
            raise OtherCommand(f"{self.command_id} is the id of a {name}, not of a {self.command.__name__}")
        return self.answer(found)
