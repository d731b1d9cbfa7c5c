"""The fence: an owner's checkpoints moved, in the transaction of what it read, unless somebody else owns the partition.

Promises: whoever gets past it is the partition's owner until the transaction ends; no reader gets past its `stop_at`.
"""

from collections.abc import Sequence

from streams.kernel.errors import Fenced
from streams.postgres.checkpoints import Move, Reader, advance
from streams.postgres.connection import Cursor
from streams.postgres.versions import unfolded
from streams.worker.partition import Partition


class VersionsChanged(Exception):
    """A version that the partition was taken for is folded no more: the partition has to be taken anew."""


def pass_fence(cursor: Cursor, application: str, partition: Partition, moves: Sequence[Move]) -> dict[Reader, int]:
    """Move the checkpoints; return where each is then.

    Raises:
        Fenced: another worker owns the partition.
        VersionsChanged: one of the readers was dropped, or is being replayed.
    """
    at = advance(cursor, application, partition.topic, partition.number, partition.topic_id, moves)
    if at is not None:
        return at
    if any(each.reader in unfolded(cursor, application) for each in moves):
        raise VersionsChanged
    raise Fenced(f"another worker owns partition {partition.number} of {partition.topic} now")
