"""A row then: what a projection makes of one row's events up to a moment.

Whoever reads picks the events (of an aggregate, or of the log, up to the moment); here they are folded as the live path
folds them. What cannot be folded parks the row's key: the row stays as it was before, and its later events **wait**.

Promises: pure; in as many pieces as they come, the events make the row that they make at once; a row that had not come
yet is told apart from one that was deleted, and from one that never was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from schemas.position import Position
from streams.kernel.folding import ParkedKeys, Step, fold
from streams.kernel.projection import Projection


class Was(Enum):
    """How a row was at a moment."""

    THERE = "there"
    DELETED = "deleted"
    NOT_YET = "not yet there"
    NEVER = "never seen"


class RowThen(NamedTuple):
    """A row as it was. `row` None: there was none. `position`: what was read, at least as far as the moment reaches.

    `events`: how many made it what it was; `waiting`: how many of its events, at least, could not be folded or follow
    one that could not.
    """

    was: Was
    row: Any
    events: int
    waiting: int
    position: Position


@dataclass
class RowFold:
    """The fold of one row."""

    projection: Projection[Any, Any]
    key: Any
    row: Any = None
    events: int = 0
    waiting: int = 0
    _parked: ParkedKeys = field(default_factory=ParkedKeys)

    def take(self, steps: Iterable[Step]) -> None:
        """Fold those steps that act on the row. A step whose key is not known parks its message's key."""
        mine = [step for step in steps if step[2] is not None or step[0] == self.key]
        nobodys = sum(step[2] is not None for step in mine)
        folded = fold(self.projection, mine, lambda _key: self.row, self._parked)
        self.row = folded.rows.get(self.key, self.row)
        waiting = len(folded.problems) - nobodys  # a step without a key is a problem always
        self.waiting += waiting
        self.events += len(mine) - nobodys - waiting

    def then(self, position: Position, *, came_later: bool) -> RowThen:
        """Return the row. `came_later`: whether there are events of it after the moment."""
        return RowThen(self._was(came_later), self.row, self.events, self.waiting, position)

    def _was(self, came_later: bool) -> Was:
        if self.row is not None:
            return Was.THERE
        if self.events:
            return Was.DELETED
        return Was.NOT_YET if self.waiting or came_later else Was.NEVER
