"""Looking ahead: the next of a row of things, before it is taken.

Promises: nothing is read before it is looked at, and one thing at most is kept.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator whose next thing can be looked at."""

    def __init__(self, things: Iterator[T]) -> None:
        """Take the things, in order."""
        self._things = things
        self._seen: list[T] = []

    @property
    def next(self) -> T | None:
        """The next thing, which stays there; None: there is none."""
        if not self._seen:
            self._seen.extend([each] if (each := next(self._things, None)) is not None else [])
        return self._seen[0] if self._seen else None

    def take(self) -> T:
        """Return the next thing and go on.

        Raises:
            StopIteration: there is none.
        """
        return self._seen.pop() if self._seen else next(self._things)
