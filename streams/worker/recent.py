"""Recent: a bounded memory of what was used last, in two generations.

When the young generation is full it becomes the old one, and what was old is forgotten. What is found in the old one
moves to the young one. Cheaper than counting each use, and as good here.

Promises: never more than twice `size_max` entries.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A dictionary that forgets."""

    def __init__(self, size_max: int) -> None:
        """Remember at least the last `size_max` entries."""
        self.size_max = size_max
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __contains__(self, key: K) -> bool:
        """Return whether the key is remembered."""
        return key in self._young or key in self._old

    def get(self, key: K) -> V | None:
        """Return what is remembered of the key."""
        value = self._young.get(key)
        if value is None and key in self._old:
            value = self._young[key] = self._old.pop(key)
        return value

    def update(self, entries: Mapping[K, V]) -> None:
        """Remember all of these, which may be more than `size_max` for the moment."""
        for key in entries.keys() & self._old.keys():
            del self._old[key]
        self._young.update(entries)
        if len(self._young) > self.size_max:
            self._old = self._young if len(self._young) <= 2 * self.size_max else {}
            self._young = {}

    def discard(self, key: K) -> None:
        """Forget a key."""
        self._young.pop(key, None)
        self._old.pop(key, None)
