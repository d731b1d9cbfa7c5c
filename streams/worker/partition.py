"""A partition that this worker owns: how far its readers are, and what is remembered of their rows.

Promises: what is remembered is what the database holds, since only the owner changes it, and it is changed here only
after a commit; a partition that was given back is `lost` and never written again through this value.
"""

from dataclasses import dataclass, field
from typing import Any

from schemas.position import Place
from streams.kernel.folding import ParkedKeys
from streams.postgres.checkpoints import Move, Reader
from streams.worker.recent import Recent

ROWS_MAX = 40_000  # a projection and partition; a row takes about 1 kB
HEADS_MAX = 200_000  # a partition; an aggregate's id and version take about 150 bytes


@dataclass(slots=True)
class Partition:
    """The state of one owned partition of an events topic."""

    topic: str
    number: int
    topic_id: str
    next: dict[Reader, int]
    parked: dict[Reader, ParkedKeys]
    assignment: int = 0
    lost: bool = False
    # Readers that have to be read anew from their checkpoints, since events passed by while they had to stop.
    held: set[Reader] = field(default_factory=set)
    rows: dict[Reader, Recent[Any, Any]] = field(default_factory=dict)
    heads: Recent[bytes, int] = field(default_factory=lambda: Recent(HEADS_MAX))

    def __post_init__(self) -> None:
        """Begin with nothing remembered."""
        self.rows = {reader: Recent(ROWS_MAX) for reader in self.next}

    @property
    def place(self) -> Place:
        """The topic, and the partition's number."""
        return self.topic, self.number

    @property
    def start(self) -> int:
        """Where to read from: the smallest checkpoint of those that need not wait. Each reader skips what it has."""
        return min((at for reader, at in self.next.items() if reader not in self.held), default=max(self.next.values()))

    @property
    def done(self) -> int:
        """The smallest checkpoint: what all readers have."""
        return min(self.next.values())

    def moves(self, end: int) -> list[Move]:
        """Return the steps to an offset, of those readers that are before it and need not wait."""
        return [Move(reader, at, end) for reader, at in self.next.items() if at < end and reader not in self.held]
