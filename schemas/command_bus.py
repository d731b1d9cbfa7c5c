"""The command bus: where a typed command is given and its typed answer comes back.

It is a protocol, so that code which asks does not know who answers: `producers/bus.py` asks the owner of the aggregate
over Kafka, `streams/kernel/bus.py` decides in this very process, for tests.

Promises: a command answers what its type says (`Command[R, E]`: an accepted `R`, or a problem of `E`); a query is no
command, and the type checker says so.
"""

from typing import Protocol, TypeVar

from schemas.messages import Command
from schemas.outcomes import Accepted, Rejected

R = TypeVar("R")
E = TypeVar("E")


class CommandBus(Protocol):
    """Whoever takes commands and gives their answers."""

    def dispatch(
        self, command: Command[R, E], *, command_id: str | None = None, expected_version: int | None = None
    ) -> Accepted[R] | Rejected[E]:
        """Have a command decided and return its answer.

        `command_id`: one id has one effect and one answer, however often it is dispatched; left out, one is made.
        `expected_version`: None is any, 0 is "must not exist", n is exactly n; a loser is told with a VersionConflict.

        Raises:
            HandlerNotFound: nobody handles commands of this type.
            CommandFailed: it could not be understood, or its decider raised.
        """
        ...
