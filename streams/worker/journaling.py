"""Journaling: the journal's share of a batch.

Promises: versions are checked for contiguity before they are written; an event that cannot be journaled parks its
message's key, and later events of the key wait behind it.
"""

from collections.abc import Sequence

import psycopg

from streams.kernel.errors import LogBroken
from streams.kernel.folding import Envelope, ParkedKeys, Problem, next_versions
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL
from streams.postgres.connection import REFUSALS, Cursor
from streams.postgres.parking import park
from streams.worker.partition import Partition
from streams.worker.pieces import Refused
from streams.worker.shares import Change
from streams.worker.source import Source

JOURNAL_CODE = "journal"


def journal_share(
    cursor: Cursor, source: Source, partition: Partition, share: Sequence[Envelope], refusal: Refused | None
) -> tuple[Change, dict[bytes, int]]:
    """Write the journal's share of a batch; return what that did, and the aggregates' versions after it.

    Raises:
        LogBroken: a version is missing, or there twice.
        Refused: an id is no text that PostgreSQL takes.
    """
    parked = partition.parked[JOURNAL].copy()
    kept, problems = sort_out(share, parked, refusal)
    versions = next_versions(heads_before(cursor, partition, kept), kept)
    try:
        journal.append(cursor, partition.topic, partition.number, kept)
    except psycopg.errors.UniqueViolation as error:
        raise LogBroken(
            f"the journal of {partition.topic} has a version already: {error.diag.message_detail}"
        ) from error
    except REFUSALS as error:
        raise Refused(JOURNAL, error) from error
    if problems:
        park(cursor, source.application, JOURNAL, (partition.topic, partition.number), problems, None, JOURNAL_CODE)
    return Change(JOURNAL, {}, parked), versions


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
