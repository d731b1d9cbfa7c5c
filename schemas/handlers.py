"""Handlers: who answers a message, by the message's type. Command bus and query bus both look here.

Promises: a type has one handler, and a message without one is refused with its type and with what there is.
"""

from typing import Generic, TypeVar

from schemas.errors import DefinitionError, HandlerNotFound
from schemas.values import Value

H = TypeVar("H")


class Handlers(Generic[H]):
    """The handlers of one bus. `kind` is the word for what it handles: command or query."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._by_type: dict[type[Value], H] = {}

    def add(self, message: type[Value], handler: H) -> None:
        """Register a type's handler.

        Raises:
            DefinitionError: the type has one already.
        """
        if message in self._by_type:
            raise DefinitionError(f"two handlers for the {self._kind} {message.__name__}: keep one")
        self._by_type[message] = handler

    def of(self, message: Value) -> H:
        """Return the handler of a message's type.

        Raises:
            HandlerNotFound: there is none.
        """
        return self.of_type(type(message))

    def of_type(self, kind: type[Value]) -> H:
        """Return the handler of a type.

        Raises:
            HandlerNotFound: there is none.
        """
        try:
            return self._by_type[kind]
        except KeyError:
            known = ", ".join(sorted(each.__name__ for each in self._by_type)) or "none"
            raise HandlerNotFound(f"no handler for the {self._kind} {kind.__name__}; registered: {known}") from None

    @property
    def types(self) -> tuple[type[Value], ...]:
        """The types that have a handler, in the order of their registration."""
        return tuple(self._by_type)
