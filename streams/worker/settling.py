"""Settling: carrying out what was requested of parked events, by the worker that owns their partition.

A retried key's events are folded again in order; the first that still cannot be taken stays parked with those behind
it. A discarded event is given up for its projection; the journal gives up nothing, since its versions have no gaps.

Promises: done in one transaction, under the same fence and locks as a batch, so that the rows stay exact; a key whose
rows the database refuses stays parked and stops nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.position import Place
from streams.kernel.errors import LogBroken
from streams.kernel.folding import (
    Envelope,
    Foldable,
    ParkedKeys,
    Problem,
    Step,
    envelopes,
    first_versions,
    next_versions,
    plan,
)
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL, Move, Reader
from streams.postgres.connection import REFUSALS, Connection, Cursor, repeated
from streams.postgres.parking import (
    ParkedKey,
    Request,
    TakenOut,
    park,
    parked_keys,
    requested_keys,
    take_out,
    withdraw,
)
from streams.worker.fence import pass_fence
from streams.worker.journaling import JOURNAL_CODE, heads_before, sort_out
from streams.worker.partition import Partition
from streams.worker.pieces import Refused
from streams.worker.shares import fold_shared
from streams.worker.source import RowReader, Source, TableReader


class Record(NamedTuple):
    """A parked event as the log had it."""

    offset: int
    key: bytes
    value: bytes


def settle(connection: Connection, sources: Mapping[str, Source], partition: Partition) -> None:
    """Carry out the requests of one partition. `sources`: by topic, since a shared row's events come of several.

    Raises:
        Fenced: another worker owns the partition.
        VersionsChanged: a version is folded no more.
    """
    parked, versions = repeated(connection, lambda: _transact(connection, sources, partition))
    partition.parked = parked
    partition.heads.update(versions)


def _transact(
    connection: Connection, sources: Mapping[str, Source], partition: Partition
) -> tuple[dict[Reader, ParkedKeys], dict[bytes, int]]:
    """Return what is parked afterwards, and the aggregates' versions that the journal came to."""
    source = sources[partition.topic]
    tables = {each.reader: each.table.shape for each in source.projections}
    shapes = {reader: tables.get(reader) for reader in partition.next}
    versions: dict[bytes, int] = {}
    with connection.transaction(), connection.cursor() as cursor:
        still = [Move(reader, at, at) for reader, at in partition.next.items()]
        pass_fence(cursor, source.application, partition, still)
        for key in requested_keys(cursor, source.application, partition.topic, partition.number):
            if key.reader not in shapes:
                continue  # a process manager's, or a version's that is not run here
            try:
                with connection.transaction():
                    versions |= _settle_key(cursor, sources, partition, key)
            except (*REFUSALS, Refused) as error:
                withdraw(cursor, source.application, key, error)
        parked = {reader: parked_keys(cursor, source.application, reader, shape) for reader, shape in shapes.items()}
    return parked, versions


def _settle_key(
    cursor: Cursor, sources: Mapping[str, Source], partition: Partition, key: ParkedKey
) -> dict[bytes, int]:
    source = sources[partition.topic]
    taken = take_out(cursor, source.application, key)
    if key.reader == JOURNAL:
        return _settle_journal(cursor, source, partition, _decoded(sources, taken))
    [each] = [each for each in source.projections if each.reader == key.reader]
    kept = [one for one in taken if one.request != Request.DISCARD.value]
    _settle_rows(cursor, source.application, partition, each, key, kept, _decoded(sources, kept))
    return {}


def _settle_rows(
    cursor: Cursor,
    application: str,
    partition: Partition,
    each: RowReader,
    key: ParkedKey,
    taken: Sequence[TakenOut],
    batch: Sequence[Envelope],
) -> None:
    steps = plan(each.projection, batch)
    for row_key in first_versions(steps):
        partition.rows[each.reader].discard(row_key)
    places = {id(envelope): (one.topic, one.partition) for envelope, one in zip(batch, taken, strict=True)}
    settle_steps(cursor, application, each, each.projection, key, steps, places)


def settle_steps(
    cursor: Cursor,
    application: str,
    each: TableReader,
    definition: Foldable[Any],
    key: ParkedKey,
    steps: Sequence[Step],
    places: Mapping[int, Place],
) -> None:
    """Fold what was taken out of the park; what still cannot be taken goes back. `places`: by the envelopes' `id`."""
    folded = fold_shared(cursor, application, each, definition, steps)
    each.table.write(cursor, folded.rows)
    for problem in folded.problems:
        # What was parked by its message stays so: what comes behind it is known by the message only.
        where = places[id(problem.envelope)]
        still = Problem(problem.envelope.key, True, problem.envelope, problem.error) if key.by_message else problem
        park(cursor, application, each.reader, where, [still], each.table.shape, each.code)


def _settle_journal(
    cursor: Cursor, source: Source, partition: Partition, batch: Sequence[Envelope]
) -> dict[bytes, int]:
    versions: dict[bytes, int] = {}
    kept, problems = sort_out(batch, ParkedKeys(), None)
    try:
        versions = next_versions(heads_before(cursor, partition, kept), kept)
        journal.append(cursor, partition.topic, partition.number, kept)
    except LogBroken as error:
        problems = [Problem(each.key, True, each, error) for each in [*kept, *(one.envelope for one in problems)]]
    place = (partition.topic, partition.number)
    park(cursor, source.application, JOURNAL, place, problems, None, JOURNAL_CODE)
    return versions


def _decoded(sources: Mapping[str, Source], taken: Iterable[TakenOut]) -> list[Envelope]:
    return [
        envelope
        for one in taken
        for envelope in envelopes(sources[one.topic].decode, [Record(one.offset, one.message_key, one.data)])
    ]
