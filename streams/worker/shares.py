"""Shares: what one reader does of a batch, within the transaction that moves its checkpoint.

Promises: a reader takes only what it does not have yet; a value that the database refuses is told as Refused, whoever's
it is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.position import Place
from streams.kernel.folding import Envelope, Foldable, Folded, ParkedKeys, Problem, Step, first_versions, fold
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import REFUSALS, Cursor
from streams.postgres.parking import park, parked_keys
from streams.worker.partition import Partition
from streams.worker.pieces import Refused
from streams.worker.source import TableReader


class Change(NamedTuple):
    """What one reader's share of a transaction did: becomes the partition's memory once it is committed."""

    reader: Reader
    rows: dict[Any, Any]
    parked: ParkedKeys | None


def share_of(partition: Partition, reader: Reader, batch: Sequence[Envelope], end: int) -> Sequence[Envelope]:
    """Return the part of the batch that the reader does not have yet, before an offset."""
    begin = partition.next[reader]
    if begin <= batch[0].offset and batch[-1].offset < end:
        return batch
    return [each for each in batch if begin <= each.offset < end]


def fold_share(
    definition: Foldable[Any], steps: Sequence[Step], rows: dict[Any, Any], parked: ParkedKeys, refusal: Refused | None
) -> Folded:
    """Fold the steps; where the database refused what one of them makes, they are parked instead."""
    if refusal is not None:
        problems = [Problem(key, False, envelope, refusal) for key, envelope, _ in steps]
        parked.rows.update(key for key, _, _ in steps)
        return Folded({}, problems)
    return fold(definition, steps, rows.get, parked)


def fold_shared(
    cursor: Cursor,
    application: str,
    each: TableReader,
    definition: Foldable[Any],
    steps: Sequence[Step],
    refusal: Refused | None = None,
) -> Folded:
    """Fold the steps into rows that several partitions share, and lock these until the transaction's end.

    Raises:
        Refused: the database does not take a key.
    """
    try:
        found, made = ({}, set()) if refusal is not None else each.table.lock(cursor, first_versions(steps))
    except REFUSALS as error:
        raise Refused(each.reader, error) from error
    # Read under the rows' locks, so that a key which another worker parks is seen.
    parked = parked_keys(cursor, application, each.reader, each.table.shape)
    folded = fold_share(definition, steps, found, parked, refusal)
    return Folded(dict.fromkeys(made) | folded.rows, folded.problems)


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
