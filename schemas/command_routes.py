"""Command routes: who takes a command, by its type; appended events go by the aggregate type that they name.

Promises: what `schemas/handlers.py` promises, for every command of the application and for the platform's own.
"""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from schemas.appending import AppendEvents
from schemas.errors import HandlerNotFound
from schemas.handlers import Handlers
from schemas.messages import Command

H = TypeVar("H")


class CommandRoutes(Generic[H]):
    """The handlers of a command bus."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_type: Handlers[H] = Handlers("command")
        self._by_aggregate: dict[str, H] = {}

    def add(self, aggregate: str, commands: Iterable[type[Command[Any, Any]]], handler: H) -> None:
        """Register who takes an aggregate type's commands.

        Raises:
            DefinitionError: one of them has a handler already.
        """
        for command in commands:
            self._by_type.add(command, handler)
        self._by_aggregate[aggregate] = handler

    def of(self, command: Command[Any, Any]) -> H:
        """Return who takes a command.

        Raises:
            HandlerNotFound: nobody does; the text says what there is.
        """
        return self.of_aggregate(command.aggregate) if isinstance(command, AppendEvents) else self._by_type.of(command)

    def of_type(self, command: type[Command[Any, Any]]) -> H:
        """Return who takes commands of a type of the application's.

        Raises:
            HandlerNotFound: nobody does.
        """
        return self._by_type.of_type(command)

    def of_aggregate(self, aggregate: str) -> H:
        """Return who takes what the platform sends to an aggregate type.

        Raises:
            HandlerNotFound: there is no such aggregate type.
        """
        if aggregate not in self._by_aggregate:
            known = ", ".join(sorted(self._by_aggregate)) or "none"
            raise HandlerNotFound(f"no aggregate type {aggregate!r}; registered: {known}")
        return self._by_aggregate[aggregate]
