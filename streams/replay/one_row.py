"""One row as of a moment, whatever its key: from the journal, or out of the log.

A row that is keyed by its aggregate is the fold of one history, which the journal has. The events of any other row may
lie anywhere, so the projection's topics are read from their beginnings up to the moment.

Promises: the row is that of a one-off read model at this moment (`one_off.py`, with what cannot be folded left out);
memory holds one row; nothing is written. A moment that the log does not reach is refused.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from itertools import zip_longest
from typing import Any

from schemas.position import Place, Position
from schemas.registry import SchemaIds
from streams.event_store.moment import Moment
from streams.event_store.rows import AggregateRows, check_moment
from streams.event_store.store import WAIT_S
from streams.kafka.config import Kafka
from streams.kafka.scanning import OnProgress
from streams.kafka.topics import topic_ids
from streams.kernel.application import AnyProjection, Application
from streams.kernel.bulk import BulkFold, BulkStep
from streams.kernel.folding import Envelope, Step
from streams.kernel.ignoring import ignores_metadata
from streams.kernel.row_then import RowFold, RowThen
from streams.replay.building import resolvers
from streams.replay.one_off import Until, check_beginnings, ends_at
from streams.replay.source import BulkSource


def row_as_of(
    application: Application, projection: AnyProjection, key: Any, moment: Moment, *, kafka: Kafka, dsn: str,
    ids: SchemaIds, partitions: int, timeout_s: float = WAIT_S,
    on_progress: OnProgress = lambda _done, _total: None,
) -> RowThen:  # fmt: skip
    """Return a row as of a moment. Where the log is read, `on_progress` is told how many offsets of how many are done.

    Raises:
        DecodingError: an event of the row's aggregate cannot be read by today's classes.
        InvalidPosition: the moment says nothing of the row, or is of another topic, or beyond the log's end.
        Stale: the journal has not come to the moment within `timeout_s`.
        TopicProblem: the log has lost its beginning.
    """
    if projection.on_aggregate_key:
        with AggregateRows(application, projection, dsn=dsn, ids=ids, partitions=partitions) as rows:
            return rows.row(str(key), moment, timeout_s=timeout_s)
    check_moment(projection, moment)
    return _from_log(application, projection, key, moment, kafka, ids, on_progress)


def _from_log(
    application: Application, projection: AnyProjection, key: Any, moment: Moment, kafka: Kafka, ids: SchemaIds,
    on_progress: OnProgress,
) -> RowThen:  # fmt: skip
    topics = [application.topics(each).events for each in projection.of]
    bare = moment.time_ms is None and ignores_metadata(projection.project)
    decoder = BulkFold(projection, resolvers(application, projection, ids, bare=bare))
    with BulkSource(kafka, f"row-{projection.name}") as source:
        uuids, bounds = topic_ids(kafka, topics), source.bounds(source.places(topics))
        check_beginnings(bounds)
        log_ends = {place: end for place, (_, end) in bounds.items()}
        ends = log_ends if moment.position is None else ends_at(moment.position, bounds, uuids)
        made, until, came_later = RowFold(projection, key), Until(moment.time_ms), False
        for steps in _read(source, decoder, dict.fromkeys(ends, 0), ends, on_progress):
            counted = [each for each in steps if until.counts(each)]
            came_later = came_later or _count(key, counted) < _count(key, steps)
            made.take(_step(each) for each in counted if each[0] == key or each[4] is not None)
        if not (made.events or made.waiting or came_later):
            with closing(_read(source, decoder, ends, log_ends, on_progress)) as later:
                came_later = any(_count(key, steps) for steps in later)
    return made.then(Position(ends, uuids), came_later=came_later)


def _read(
    source: BulkSource, decoder: BulkFold, starts: Mapping[Place, int], ends: Mapping[Place, int],
    on_progress: OnProgress,
) -> Generator[list[BulkStep]]:  # fmt: skip
    """Yield what the projection may fold of the log between two positions, batch by batch."""
    work = [(place, starts[place], end) for place, end in ends.items() if starts[place] < end]
    total, before = sum(end - start for _, start, end in work), 0
    for (place, start, end), following in zip_longest(work, work[1:]):
        for records in source.batches(place, start, end, following and following[:2]):
            yield decoder.decode(place[0], records)
            on_progress(before + records[-1].offset() + 1 - start, total)
        before += end - start


def _count(key: Any, steps: Iterable[BulkStep]) -> int:
    return sum(step[4] is None and step[0] == key for step in steps)


def _step(step: BulkStep) -> Step:
    key, event, meta, record, error = step
    return key, Envelope(record.offset(), record.key() or b"", record.value() or b"", event, meta, error), error
