"""Reacting: what facts do to a process manager's states, and which commands follow.

Promises: pure, and the same as folding a projection (`streams/kernel/folding.py`), so a fact that cannot be taken parks
its process and the others go on; nothing is sent from here: the commands are only kept, and replay has nobody who
would send them. A fact that is older than the **dedupe window** (for how long processors know a command's id) and asks
for commands is refused.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from schemas.messages import Command
from schemas.metadata import CommandMetadata, EventMetadata
from streams.kernel.errors import BeyondDedupeWindow
from streams.kernel.process_manager import Answered, FactMetadata, ProcessManager

CLOCKS_APART_MS_MAX = 60_000


class Encoded(NamedTuple):
    """A command as it goes to Kafka."""

    send_to: str
    message_key: bytes
    data: bytes


Encode = Callable[[Command[Any, Any], CommandMetadata], Encoded]


class Decided(NamedTuple):
    """A command that follows from a fact. `key`: of the process; `fact_ms`: when the fact came to be."""

    command_id: str
    key: Any
    encoded: Encoded
    answer_wanted: bool
    fact_ms: int


class Reactions:
    """One transaction's reactions of a process manager; foldable as a projection is."""

    def __init__(
        self, manager: ProcessManager[Any, Any], encode: Encode, now_ms: int, dedupe_window_ms: int | None
    ) -> None:
        """`dedupe_window_ms`: None where nothing will be sent, so that no fact is too old."""
        self.row = manager.row
        self.event_types = manager.event_types
        self.key_of = manager.key_of
        self.new_row = manager.new_row
        self.decided: list[Decided] = []
        self.answered: list[str] = []
        self._manager = manager
        self._encode = encode
        self._now_ms = now_ms
        # A processor's clock may be behind or before this one, and a command takes a while to get there.
        self._oldest_ms = None if dedupe_window_ms is None else now_ms - dedupe_window_ms + CLOCKS_APART_MS_MAX

    def project(self, state: Any, fact: Any, meta: FactMetadata) -> Any:
        """Return the state after a fact, and keep the commands.

        Raises:
            BeyondDedupeWindow: the fact is too old for its commands to be sent.
            EncodingError: a command's value does not fit its schema.
            TypeError: a command is of a type that `react` does not declare.
        """
        after, commands = react(self._manager, state, fact, meta)
        if commands and self._oldest_ms is not None and meta.time_ms < self._oldest_ms:
            raise BeyondDedupeWindow(self._too_old(fact, meta, commands))
        self.decided += [self._decide(state, command, number, meta) for number, command in enumerate(commands, 1)]
        if isinstance(fact, Answered):
            self.answered.append(meta.command_id)
        return after

    def _decide(self, state: Any, command: Command[Any, Any], number: int, meta: FactMetadata) -> Decided:
        fact_id, causation_id = _ids(meta)
        command_id = self._manager.command_id(fact_id, number)
        about = CommandMetadata(command_id, meta.correlation_id, causation_id, None, self._now_ms)
        key = getattr(state, self._manager.key_field)
        wanted = type(command) in self._manager.awaited_types
        return Decided(command_id, key, self._encode(command, about), wanted, meta.time_ms)

    def _too_old(self, fact: Any, meta: FactMetadata, commands: Iterable[Command[Any, Any]]) -> str:
        told = fact.command if isinstance(fact, Answered) else fact
        wanted = ", ".join(
            f"{type(command).__name__} {command.aggregate_id} (command id {self._manager.command_id(_ids(meta)[0], n)})"
            for n, command in enumerate(commands, 1)
        )
        when = datetime.fromtimestamp(meta.time_ms / 1000, UTC)
        return (
            f"{type(told).__name__} of {when:%Y-%m-%d %H:%M} UTC is older than the dedupe window: {wanted} may have "
            "been sent then, and would act a second time now; look among the events of its aggregate for that command "
            "id, send it yourself if it is not there, then discard this fact"
        )


def react(manager: ProcessManager[Any, Any], state: Any, fact: Any, meta: FactMetadata) -> tuple[Any, tuple[Any, ...]]:
    """Return what a process manager's function returns, checked.

    Raises:
        TypeError: it is not what its annotation says.
    """
    after, commands = manager.react(state, fact, meta)
    for command in commands:
        if type(command) not in manager.command_types:
            raise TypeError(f"react returned {type(command).__name__}, which is not in its annotation")
    return after, tuple(commands)


def _ids(meta: FactMetadata) -> tuple[str, str]:
    """Return the fact's id, and the id of the message that it came in."""
    if isinstance(meta, EventMetadata):
        return meta.event_id, meta.event_id
    return f"{meta.command_id}-answer", meta.command_id
