"""Closing: what holds connections is closed once, by `close()` or at the end of a `with`.

Promises: a `with` closes whatever happened in it, and hides no error.
"""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """A base of what has to be closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connections."""

    def __enter__(self) -> Self:
        """Return itself; it is closed at the end of the `with`."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()
