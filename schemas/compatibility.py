"""Compatibility: may a new version of a schema follow the old ones?

The **mode** of a subject says what must hold, in the words of Confluent's registry: *backward*, the new one reads
what the old one wrote; *forward*, the old one reads what the new one writes; *full*, both; *transitive*, for all old
versions and not only the latest.

Promises: a break is told with the path of its field and both versions.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from schemas.avro_foreign import foreign_shape
from schemas.resolution import resolve


class Mode(StrEnum):
    """What must hold between the versions of a subject. For events that are kept for ever: BACKWARD_TRANSITIVE."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """Whether new versions must read what old ones wrote."""
        return self.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Whether old versions must read what new ones write."""
        return self.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """Whether all old versions count, and not the latest alone."""
        return self.endswith("TRANSITIVE")


def unreadable(writer: Any, reader: Any) -> Sequence[str]:
    """Return why the schema `reader` cannot read what `writer` wrote: the fields' problems, none if it can."""
    return resolve(writer, foreign_shape(reader)).problems


def breaks(mode: Mode, versions: Sequence[Any], new: Any, upcast: frozenset[int] = frozenset()) -> Sequence[str]:
    """Return what a new version breaks; `versions` are the old ones, the first version first.

    `upcast`: the versions that an upcaster leads away from. It is the upcaster that reads those, so that backward they
    break nothing.
    """
    numbered = list(enumerate(versions, 1))
    problems = []
    for number, old in numbered if mode.transitive else numbered[-1:]:
        if mode.backward and number not in upcast:
            problems += [f"cannot read version {number}: {each}" for each in unreadable(old, new)]
        if mode.forward:
            problems += [f"version {number} cannot read it: {each}" for each in unreadable(new, old)]
    return problems
