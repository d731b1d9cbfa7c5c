"""Settling: carrying out what was requested of parked events, by the worker that owns their partition.

A retried key's events are folded again in order; the first that still cannot be taken stays parked with those behind
it. A discarded event is given up for its projection; the journal gives up nothing, since its versions have no gaps.

Promises: done in one transaction, under the same fence and locks as a batch, so that the rows stay exact.
"""

from collections.abc import Sequence
from typing import NamedTuple

from streams.kernel.errors import Fenced, LogBroken
from streams.kernel.folding import Envelope, ParkedKeys, Problem, envelopes, first_versions, fold, next_versions, plan
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL, Move, move
from streams.postgres.connection import Connection, Cursor
from streams.postgres.parking import ParkedKey, Request, TakenOut, park, parked_keys, requested_keys, take_out
from streams.worker.journaling import JOURNAL_CODE, heads_before, sort_out
from streams.worker.partition import Partition
from streams.worker.source import RowReader, Source


class _Record(NamedTuple):
    """A parked event as the log had it."""

    offset: int
    key: bytes
    value: bytes


def settle(connection: Connection, source: Source, partition: Partition) -> None:
    """Carry out the requests of one partition.

    Raises:
        Fenced: another worker owns the partition.
    """
    readers = {each.reader: each for each in source.projections}
    with connection.transaction(), connection.cursor() as cursor:
        still = [Move(reader, at, at) for reader, at in partition.next.items()]
        place = (partition.topic, partition.number)
        if not move(cursor, source.application, *place, partition.topic_id, still):
            raise Fenced(f"another worker owns partition {partition.number} of {partition.topic} now")
        for key in requested_keys(cursor, source.application, *place):
            if key.reader != JOURNAL and key.reader not in readers:
                continue  # a process manager's, or a version's that is not run any more
            taken = take_out(cursor, source.application, key)
            if key.reader == JOURNAL:
                _settle_journal(cursor, source, partition, taken)
            else:
                kept = [each for each in taken if each.request != Request.DISCARD.value]
                _settle_rows(cursor, source, partition, readers[key.reader], key, kept)
        parked = {JOURNAL: parked_keys(cursor, source.application, JOURNAL, None)}
        for reader, each in readers.items():
            parked[reader] = parked_keys(cursor, source.application, reader, each.table.shape)
    partition.parked = parked


def _settle_rows(
    cursor: Cursor, source: Source, partition: Partition, each: RowReader, key: ParkedKey, taken: Sequence[TakenOut]
) -> None:
    batch = _decoded(source, taken)
    steps = plan(each.projection, batch)
    rows, made = each.table.lock(cursor, first_versions(steps))
    others = parked_keys(cursor, source.application, each.reader, each.table.shape)
    folded = fold(each.projection, steps, rows.get, others)
    each.table.write(cursor, dict.fromkeys(made) | folded.rows)
    for row_key in first_versions(steps):
        partition.rows[each.reader].discard(row_key)
    places = {id(envelope): (one.topic, one.partition) for envelope, one in zip(batch, taken, strict=True)}
    for problem in folded.problems:
        # What was parked by its message stays so: what comes behind it is known by the message only.
        where = places[id(problem.envelope)]
        still = Problem(problem.envelope.key, True, problem.envelope, problem.error) if key.by_message else problem
        park(cursor, source.application, each.reader, where, [still], each.table.shape, each.code)


def _settle_journal(cursor: Cursor, source: Source, partition: Partition, taken: Sequence[TakenOut]) -> None:
    kept, problems = sort_out(_decoded(source, taken), ParkedKeys(), None)
    try:
        versions = next_versions(heads_before(cursor, partition, kept), kept)
        journal.append(cursor, partition.topic, partition.number, kept)
        partition.heads.update(versions)
    except LogBroken as error:
        problems = [Problem(each.key, True, each, error) for each in [*kept, *(one.envelope for one in problems)]]
    place = (partition.topic, partition.number)
    park(cursor, source.application, JOURNAL, place, problems, None, JOURNAL_CODE)


def _decoded(source: Source, taken: Sequence[TakenOut]) -> list[Envelope]:
    return envelopes(source.decode, [_Record(one.offset, one.message_key, one.data) for one in taken])
