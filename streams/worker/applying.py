"""Applying: one batch of a partition, folded into rows and journal in one PostgreSQL transaction with its checkpoints.

Promises: all of a batch or nothing; only by the partition's owner (the fence); a transaction that lost a race for locks
is done again; an event whose row the database refuses is found by halving the batch, and parked.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import psycopg

from streams.kernel.errors import Fenced, LogBroken
from streams.kernel.folding import (
    Envelope,
    Folded,
    ParkedKeys,
    Problem,
    Step,
    envelopes,
    first_versions,
    fold,
    next_versions,
    plan,
)
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL, Move, Reader, move
from streams.postgres.connection import Connection, Cursor
from streams.postgres.parking import park, parked_keys
from streams.worker.partition import Partition
from streams.worker.pieces import Refusals, Refused, apply_in_pieces
from streams.worker.source import RowReader, Source

JOURNAL_CODE = "journal"


class _Change(NamedTuple):
    """What one reader's share of a transaction did: becomes the partition's memory once it is committed."""

    reader: Reader
    rows: dict[Any, Any]
    parked: ParkedKeys | None


class Applier:
    """Writes batches on one connection, one at a time."""

    def __init__(self, connection: Connection, sources: Iterable[Source]) -> None:
        """Make the connection's staging tables."""
        self.connection = connection
        with connection.cursor() as cursor:
            for source in sources:
                for each in source.projections:
                    each.table.stage(cursor)

    def apply(self, source: Source, partition: Partition, records: Sequence[Any]) -> None:
        """Fold the records, which must be the next of the partition.

        Raises:
            Fenced: another worker owns the partition: exit.
            LogBroken: the log contradicts itself: exit, and look.
            psycopg.Error: the database cannot be used: exit; the supervisor starts a new worker.
        """
        batch = envelopes(source.decode, records)
        apply_in_pieces(partial(self._transact, source, partition), batch)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _transact(self, source: Source, partition: Partition, batch: Sequence[Envelope], refusals: Refusals) -> None:
        end = batch[-1].offset + 1
        moves = [Move(reader, at, end) for reader, at in partition.next.items() if at < end]
        changes: list[_Change] = []
        versions: dict[bytes, int] = {}
        with self.connection.transaction(), self.connection.cursor() as cursor:
            place = (partition.topic, partition.number)
            if not move(cursor, source.application, *place, partition.topic_id, moves):
                raise Fenced(f"another worker owns partition {partition.number} of {partition.topic} now")
            if partition.next[JOURNAL] < end:
                change, versions = _journal(cursor, source, partition, batch, refusals.get(JOURNAL))
                changes.append(change)
            for each in source.projections:
                if partition.next[each.reader] < end:
                    change = _project(cursor, source, partition, each, batch, refusals.get(each.reader))
                    changes.append(change)
        _remember(partition, moves, changes, versions)


def _share(partition: Partition, reader: Reader, batch: Sequence[Envelope]) -> Sequence[Envelope]:
    """Return the part of the batch that the reader does not have yet."""
    at = partition.next[reader]
    return batch if at <= batch[0].offset else [each for each in batch if each.offset >= at]


def _journal(
    cursor: Cursor, source: Source, partition: Partition, batch: Sequence[Envelope], refusal: Refused | None
) -> tuple[_Change, dict[bytes, int]]:
    share = _share(partition, JOURNAL, batch)
    parked = partition.parked[JOURNAL].copy()
    kept, problems = sort_out(share, parked, refusal)
    versions = next_versions(heads_before(cursor, partition, kept), kept)
    try:
        journal.append(cursor, partition.topic, partition.number, kept)
    except psycopg.errors.UniqueViolation as error:
        raise LogBroken(
            f"the journal of {partition.topic} has a version already: {error.diag.message_detail}"
        ) from error
    except (psycopg.DataError, UnicodeDecodeError) as error:
        raise Refused(JOURNAL, error) from error
    if problems:
        park(cursor, source.application, JOURNAL, (partition.topic, partition.number), problems, None, JOURNAL_CODE)
    return _Change(JOURNAL, {}, parked), versions


def sort_out(
    share: Sequence[Envelope], parked: ParkedKeys, refusal: Refused | None
) -> tuple[Sequence[Envelope], list[Problem]]:
    """Part what can be journaled from what has to wait."""
    if refusal is None and not parked.messages and all(each.error is None for each in share):
        return share, []
    kept: list[Envelope] = []
    problems: list[Problem] = []
    for each in share:
        waits, error = each.key in parked.messages, each.error or refusal
        if waits or error is not None:
            parked.messages.add(each.key)
            problems.append(Problem(each.key, True, each, None if waits else error))
        else:
            kept.append(each)
    return kept, problems


def heads_before(cursor: Cursor, partition: Partition, kept: Sequence[Envelope]) -> dict[bytes, int]:
    """Return the versions before the batch. A first event needs no look: if it is not the first, its insert fails."""
    firsts: dict[bytes, int] = {}
    for each in kept:
        if each.key not in firsts and each.meta is not None:
            firsts[each.key] = each.meta.version
    known = {key: version for key in firsts if (version := partition.heads.get(key)) is not None}
    unknown = [key for key, version in firsts.items() if version != 1 and key not in known]
    return known | journal.heads(cursor, partition.topic, unknown) if unknown else known


def _project(
    cursor: Cursor,
    source: Source,
    partition: Partition,
    each: RowReader,
    batch: Sequence[Envelope],
    refusal: Refused | None,
) -> _Change:
    projection, table = each.table.projection, each.table
    steps = plan(projection, _share(partition, each.reader, batch))
    owned = projection.on_aggregate_key
    if owned:
        parked = partition.parked[each.reader].copy()
        folded = _fold(each, steps, _owned_rows(cursor, partition, each, steps), parked, refusal)
    else:
        found, made = table.lock(cursor, first_versions(steps))
        # Read under the rows' locks, so that a key which another worker parks is seen.
        parked = parked_keys(cursor, source.application, each.reader, table.shape)
        folded = _fold(each, steps, found, parked, refusal)
        folded = Folded(dict.fromkeys(made) | folded.rows, folded.problems)
    try:
        table.write(cursor, folded.rows)
    except (psycopg.DataError, OverflowError, ValueError) as error:
        raise Refused(each.reader, error) from error
    if folded.problems:
        place = (partition.topic, partition.number)
        park(cursor, source.application, each.reader, place, folded.problems, table.shape, each.code)
    return _Change(each.reader, folded.rows if owned else {}, parked if owned else None)


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


def _fold(
    each: RowReader, steps: Sequence[Step], rows: dict[Any, Any], parked: ParkedKeys, refusal: Refused | None
) -> Folded:
    if refusal is not None:
        problems = [Problem(key, False, envelope, refusal) for key, envelope, _ in steps]
        parked.rows.update(key for key, _, _ in steps)
        return Folded({}, problems)
    return fold(each.table.projection, steps, rows.get, parked)


def _remember(
    partition: Partition, moves: Sequence[Move], changes: Sequence[_Change], versions: dict[bytes, int]
) -> None:
    for step in moves:
        partition.next[step.reader] = step.next
    partition.heads.update(versions)
    for change in changes:
        memory = partition.rows[change.reader]
        for key in [key for key, row in change.rows.items() if row is None]:
            del change.rows[key]
            memory.discard(key)
        memory.update(change.rows)
        if change.parked is not None:
            partition.parked[change.reader] = change.parked
