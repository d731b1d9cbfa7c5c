"""Applying: one batch of a partition, folded into rows and journal in one PostgreSQL transaction with its checkpoints.

Promises: all of a batch or nothing; only by the partition's owner (the fence); a reader that was told to stop gets no
event from there on, and is **held** until it is read anew from its checkpoint; a transaction that lost a race for locks
is done again; an event whose row the database refuses is found by halving the batch, and parked.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg

from streams.kernel.folding import Envelope, ParkedKeys, Step, envelopes, first_versions, plan
from streams.postgres.checkpoints import JOURNAL, Move, Reader
from streams.postgres.connection import FOLDING, Connection, Cursor, connect_to_fold
from streams.postgres.parking import parked_keys
from streams.postgres.versions import unfolded
from streams.worker.duty import Duty, Hand
from streams.worker.fence import VersionsChanged, pass_fence
from streams.worker.journaling import journal_share
from streams.worker.lanes import Lanes, OnError
from streams.worker.partition import Partition
from streams.worker.pieces import Refusals, Refused, apply_in_pieces
from streams.worker.settling import settle
from streams.worker.shares import Change, fold_share, fold_shared, share_of, write_share
from streams.worker.source import RowReader, Source


class Applier:
    """Writes batches on one connection, one at a time."""

    def __init__(self, connection: Connection, sources: Mapping[str, Source]) -> None:
        """Take the connection; staging tables are made when they are needed."""
        self.connection = connection
        self._sources = sources
        self._staged: dict[Reader, int] = {}

    def apply(self, partition: Partition, records: Sequence[Any]) -> None:
        """Fold the records, which must be the next of the partition.

        Raises:
            Fenced: another worker owns the partition: exit.
            LogBroken: the log contradicts itself: exit, and look.
            psycopg.Error: the database cannot be used: exit; the supervisor starts a new worker.
        """
        if not partition.moves(records[-1].offset + 1):
            return
        source = self._sources[partition.topic]
        batch = envelopes(source.decode, records)
        try:
            self._stage(source, partition)
            apply_in_pieces(self.connection, partial(self._transact, source, partition), batch)
        except VersionsChanged:
            partition.lost = True  # until `Reading.look` has seen it too, and takes the partitions anew

    def settle(self, partition: Partition) -> None:
        """Carry out what was requested of the partition's parked events.

        Raises:
            Fenced: another worker owns the partition: exit.
        """
        try:
            self._stage(self._sources[partition.topic], partition)
            settle(self.connection, self._sources, partition)
        except VersionsChanged:
            partition.lost = True

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _stage(self, source: Source, partition: Partition) -> None:
        """Make the staging tables of a partition's readers, anew after each assignment: a table may be another one.

        Raises:
            VersionsChanged: a version was dropped since the assignment, and its table with it.
        """
        for each in source.projections:
            if each.reader in partition.next and self._staged.get(each.reader) != partition.assignment:
                with self.connection.cursor() as cursor:
                    self._stage_one(cursor, source.application, each)
                self._staged[each.reader] = partition.assignment

    def _stage_one(self, cursor: Cursor, application: str, each: RowReader) -> None:
        try:
            each.table.stage(cursor)
        except psycopg.errors.UndefinedTable:
            if each.reader in unfolded(cursor, application):
                raise VersionsChanged from None
            raise

    def _transact(self, source: Source, partition: Partition, batch: Sequence[Envelope], refusals: Refusals) -> None:
        moves = partition.moves(batch[-1].offset + 1)
        if not moves:
            return
        changes: list[Change] = []
        versions: dict[bytes, int] = {}
        with self.connection.transaction(), self.connection.cursor() as cursor:
            at = pass_fence(cursor, source.application, partition, moves)
            shares = {reader: share_of(partition, reader, batch, end) for reader, end in at.items()}
            if shares.get(JOURNAL):
                change, versions = journal_share(cursor, source, partition, shares[JOURNAL], refusals.get(JOURNAL))
                changes.append(change)
            for each in source.projections:
                if shares.get(each.reader):
                    refusal = refusals.get(each.reader)
                    changes.append(_project(cursor, source, partition, each, shares[each.reader], refusal))
        _remember(partition, moves, at, changes, versions)


def appliers(sources: Mapping[str, Source], dsn: str) -> Callable[[], Hand]:
    """Return what makes an applier with a connection of its own."""
    return lambda: Applier(connect_to_fold(dsn, FOLDING), sources)


def folding(application: str, sources: Mapping[str, Source], dsn: str, lanes: int, on_error: OnError) -> Duty:
    """Return the duty of folding events into rows and journal."""

    def parked(cursor: Cursor, topic: str) -> dict[Reader, ParkedKeys]:
        found = {JOURNAL: parked_keys(cursor, application, JOURNAL, None)}
        for each in sources[topic].projections:
            found[each.reader] = parked_keys(cursor, application, each.reader, each.table.shape)
        return found

    readers = {topic: source.readers for topic, source in sources.items()}
    made = Lanes("fold", lanes, appliers(sources, dsn), on_error)
    return Duty("fold", readers, made, parked, in_bulk=True)


def _project(
    cursor: Cursor,
    source: Source,
    partition: Partition,
    each: RowReader,
    share: Sequence[Envelope],
    refusal: Refused | None,
) -> Change:
    projection = each.projection
    steps = plan(projection, share)
    owned = projection.on_aggregate_key
    if owned:
        waiting = partition.parked[each.reader].copy()
        folded = fold_share(projection, steps, _owned_rows(cursor, partition, each, steps), waiting, refusal)
        parked: ParkedKeys | None = waiting
    else:
        folded, parked = fold_shared(cursor, source.application, each, projection, steps, refusal), None
    write_share(cursor, source.application, (partition.topic, partition.number), each, folded)
    return Change(each.reader, folded.rows if owned else {}, parked)


def _owned_rows(cursor: Cursor, partition: Partition, each: RowReader, steps: Sequence[Step]) -> dict[Any, Any]:
    """Return the rows before the batch, from memory where they are there."""
    memory, rows, unknown = partition.rows[each.reader], {}, []
    for key, version in first_versions(steps).items():
        row = memory.get(key)
        if row is not None:
            rows[key] = row
        elif version != 1:  # before an aggregate's first event there is no row to look for
            unknown.append(key)
    return rows | each.table.load(cursor, unknown) if unknown else rows


def _remember(
    partition: Partition,
    moves: Sequence[Move],
    at: Mapping[Reader, int],
    changes: Sequence[Change],
    versions: dict[bytes, int],
) -> None:
    partition.next.update(at)
    partition.held.update(step.reader for step in moves if at[step.reader] < step.next)
    partition.heads.update(versions)
    for change in changes:
        memory = partition.rows[change.reader]
        for key in [key for key, row in change.rows.items() if row is None]:
            del change.rows[key]
            memory.discard(key)
        memory.update(change.rows)
        if change.parked is not None:
            partition.parked[change.reader] = change.parked
