"""The command bus over Kafka: a command goes to the owner of its aggregate, wherever it is, and its answer comes back.

Promises: what `schemas/command_bus.py` promises; and a timeout is told apart from a refusal.
"""

from typing import TypeVar

from producers.client import TIMEOUT_S, Client
from schemas.messages import Command
from schemas.outcomes import Accepted, Rejected

R = TypeVar("R")
E = TypeVar("E")


class KafkaCommandBus:
    """The command bus of the aggregates that a client knows. It may be shared between threads, as the client may."""

    def __init__(self, client: Client, timeout_s: float = TIMEOUT_S) -> None:
        """`timeout_s`: how long to wait for each answer. The client stays the caller's to close."""
        self._client = client
        self._timeout_s = timeout_s

    def dispatch(
        self, command: Command[R, E], *, command_id: str | None = None, expected_version: int | None = None
    ) -> Accepted[R] | Rejected[E]:
        """Ask the owner of the command's aggregate, and wait for the answer.

        Raises:
            AskTimeout: no answer came in time; the command may still be decided: dispatch it again with its id.
            CommandFailed: it could not be understood, or its decider raised.
            HandlerNotFound: no aggregate of the client's takes commands of this type.
            SendFailed: Kafka did not take it.
        """
        return self._client.ask(
            command, timeout_s=self._timeout_s, command_id=command_id, expected_version=expected_version
        )
