"""Shares: what one reader does of a batch, within the transaction that moves its checkpoint.

Promises: a reader takes only what it does not have yet; a value that the database refuses is told as Refused, whoever's
it is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.position import Place
from streams.kernel.folding import Envelope, Foldable, Folded, ParkedKeys, Problem, Step, fold
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import REFUSALS, Cursor
from streams.postgres.parking import park
from streams.worker.partition import Partition
from streams.worker.pieces import Refused
from streams.worker.source import TableReader


class Change(NamedTuple):
    """What one reader's share of a transaction did: becomes the partition's memory once it is committed."""

    reader: Reader
    rows: dict[Any, Any]
    parked: ParkedKeys | None


def share_of(partition: Partition, reader: Reader, batch: Sequence[Envelope]) -> Sequence[Envelope]:
    """Return the part of the batch that the reader does not have yet."""
    at = partition.next[reader]
    return batch if at <= batch[0].offset else [each for each in batch if each.offset >= at]


def fold_share(
    definition: Foldable[Any], steps: Sequence[Step], rows: dict[Any, Any], parked: ParkedKeys, refusal: Refused | None
) -> Folded:
    """Fold the steps; where the database refused what one of them makes, they are parked instead."""
    if refusal is not None:
        problems = [Problem(key, False, envelope, refusal) for key, envelope, _ in steps]
        parked.rows.update(key for key, _, _ in steps)
        return Folded({}, problems)
    return fold(definition, steps, rows.get, parked)


def write_share(cursor: Cursor, application: str, place: Place, each: TableReader, folded: Folded) -> None:
    """Write the rows, and park what could not be folded.

    Raises:
        Refused: the database does not take a value.
    """
    try:
        each.table.write(cursor, folded.rows)
    except REFUSALS as error:
        raise Refused(each.reader, error) from error
    if folded.problems:
        park(cursor, application, each.reader, place, folded.problems, each.table.shape, each.code)
