"""A duty: what one agent of the worker does with the topics that it reads, each partition in a lane.

The worker folds (rows and journal), and it reacts (process managers). Both own the same partitions, each with lanes and
checkpoints of its own, so that one never waits for the other.

Promises: a duty is told everything of a partition in order, and nothing of one that was lost.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streams.kernel.folding import ParkedKeys
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Cursor
from streams.worker.lanes import Lanes, share_python
from streams.worker.partition import Partition


class Hand(Protocol):
    """Who does the work in a lane, on a connection of its own."""

    def apply(self, partition: Partition, records: Sequence[Any]) -> None:
        """Take the next records of a partition."""
        ...

    def settle(self, partition: Partition) -> None:
        """Carry out what is asked of a partition's parked events, and what was left undone."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


Applied = Callable[[str, Partition, Sequence[Any], float], None]


def tell_nobody(duty: str, partition: Partition, records: Sequence[Any], seconds: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Duty:
    """`readers`: by topic, who has a checkpoint there. `parked`: what a new owner of a partition must know of them.

    `applied` is told of each batch, by the duty's name, and how many seconds it took; in the lanes' threads.
    `in_bulk`: whether readers that are far behind may catch up apart from the others.
    """

    name: str
    readers: Mapping[str, Sequence[Reader]]
    lanes: Lanes[Hand]
    parked: Callable[[Cursor, str], dict[Reader, ParkedKeys]]
    applied: Applied = tell_nobody
    in_bulk: bool = False

    async def hand(self, partition: Partition, records: Sequence[Any]) -> None:
        """Have records applied, when there is room in the partition's lane."""
        share_python(len(records))
        await self.lanes.put(partition, lambda hand: self.apply(hand, partition, records))

    def apply(self, hand: Hand, partition: Partition, records: Sequence[Any]) -> float:
        """Apply records here and now, and tell who watches; return how many seconds it took."""
        began_s = time.perf_counter()
        hand.apply(partition, records)
        seconds = time.perf_counter() - began_s
        self.applied(self.name, partition, records, seconds)
        return seconds

    async def settle(self, partition: Partition) -> None:
        """Have a partition settled."""
        await self.lanes.put(partition, lambda hand: hand.settle(partition))
