"""A one-off read model: what a projection makes of the log up to a moment, for a question that somebody has once.

The projection need not be registered: nothing is noted in the books, and nobody folds it on.

Promises: what is in the log is looked at, nothing of it is changed, and nothing of the application's tables either; a
moment that the log does not reach, or that tells nothing of one of its partitions, is refused before folding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.errors import InvalidPosition
from schemas.position import Place, Position
from schemas.registry import SchemaIds
from streams.event_store.moment import Moment
from streams.kafka.config import Kafka
from streams.kafka.topics import topic_ids
from streams.kernel.application import AnyProjection, Application
from streams.kernel.bulk import BulkFold, BulkStep, Resolve
from streams.kernel.errors import TopicProblem
from streams.postgres.connection import connect
from streams.replay.building import resolvers
from streams.replay.errors import CannotReplay, Interrupted
from streams.replay.running import ROWS_MAX, Limits, OnProgress, Runner
from streams.replay.source import BulkSource
from streams.replay.spilling import Spill

Bounds = Mapping[Place, tuple[int, int]]
FOREVER_S = float("inf")  # no save but for want of memory: nobody goes on with a one-off fold


@dataclass(frozen=True)
class Question:
    """What is asked. `moment` None: the log's end. `park`: leave out what cannot be folded, and what follows of it."""

    projection: AnyProjection
    moment: Moment | None = None
    park: bool = False
    rows_max: int = ROWS_MAX


@dataclass(frozen=True)
class Answer:
    """What the fold came to. `rows`: in the order of their keys, to be taken once; `parked`: keys that lack events."""

    position: Position
    events: int
    parked: int
    spilled: bool
    rows: Iterable[Any]


class Until:
    """Tells of each aggregate's events, one after the other, whether they lie before its first one after a time."""

    def __init__(self, limit_ms: int | None) -> None:
        """`limit_ms`: since 1970 UTC; None: all of them do."""
        self._limit_ms = limit_ms
        self._ended: set[bytes] = set()  # the aggregates that have come to a later event

    def counts(self, step: BulkStep) -> bool:
        """Return whether the event counts."""
        if self._limit_ms is None:
            return True
        _, _, meta, record, _ = step
        # Of an event that cannot be decoded only Kafka knows the time.
        key, time_ms = record.key() or b"", record.timestamp()[1] if meta is None else meta.time_ms
        if time_ms > self._limit_ms:
            self._ended.add(key)
        return key not in self._ended


class FoldUntil(BulkFold):
    """Folds of each aggregate what was decided until a time, up to the first event that is later."""

    def __init__(self, projection: AnyProjection, resolve: Mapping[str, Resolve], limit_ms: int) -> None:
        """`limit_ms`: since 1970 UTC."""
        super().__init__(projection, resolve)
        self._until = Until(limit_ms)

    def straight(self, topic: str, records: Sequence[Any]) -> int:  # noqa: ARG002
        """Take none: each has to be looked at."""
        return 0

    def decode(self, topic: str, records: Iterable[Any]) -> list[BulkStep]:
        """Return the steps that were decided until then."""
        return [each for each in super().decode(topic, records) if self._until.counts(each)]


@contextmanager
def answer(
    application: Application, question: Question, kafka: Kafka, dsn: str, ids: SchemaIds,
    on_progress: OnProgress = lambda _: None, stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Answer]:  # fmt: skip
    """Fold, and give the rows for the block's duration.

    Raises:
        CannotReplay: the time is before the log's beginning.
        Interrupted: it was stopped.
        InvalidPosition: the log is not at the position, or it tells nothing of a partition.
        TopicProblem: the log has lost its beginning.
        Unfoldable: an event cannot be folded.
    """
    projection = question.projection
    topics = [application.topics(each).events for each in projection.of]
    with ExitStack() as opened:
        source = opened.enter_context(BulkSource(kafka, f"one-off-{projection.name}"))
        spill = Spill(opened.enter_context(connect(dsn, "one-off")), projection)
        resolve, uuids = resolvers(application, projection, ids), topic_ids(kafka, topics)
        bounds = source.bounds(source.places(topics))
        ends = _ends(source, bounds, uuids, question.moment, resolve)
        fold = BulkFold(projection, resolve)
        if question.moment is not None and question.moment.time_ms is not None:
            fold = FoldUntil(projection, resolve, question.moment.time_ms)
        runner = Runner(
            source, fold, spill, dict.fromkeys(ends, 0), True, question.park,
            Limits(question.rows_max, save_s=FOREVER_S, saves=1), on_progress, stopped,
            advice="Mend the code, or leave its key's further events out with --park",
        )  # fmt: skip
        if not runner.run(ends):
            raise Interrupted("stopped")
        parked = len(fold.parked.rows) + len(fold.parked.messages)
        yield Answer(Position(ends, uuids), sum(ends.values()), parked, spill.spilled, spill.rows())


def _ends(
    source: BulkSource, bounds: Bounds, uuids: Mapping[str, str], moment: Moment | None, resolve: Mapping[str, Resolve]
) -> dict[Place, int]:
    """Return where to stop reading."""
    check_beginnings(bounds)
    if moment is not None and moment.position is not None:
        return ends_at(moment.position, bounds, uuids)
    if moment is not None and moment.time_ms is not None:
        _check_time(moment.time_ms, source, bounds, resolve)
    return {place: end for place, (_, end) in bounds.items()}


def check_beginnings(bounds: Bounds) -> None:
    """Refuse a log that does not begin at its beginning.

    Raises:
        TopicProblem: a partition's first events are lost.
    """
    for (topic, number), (first, _) in bounds.items():
        if first > 0:
            raise TopicProblem(
                f"{topic}[{number}] begins at offset {first}: the events before are lost, and rows would lack them; "
                "restore the topic, and set its retention to for ever"
            )


def ends_at(position: Position, bounds: Bounds, uuids: Mapping[str, str]) -> dict[Place, int]:
    """Return where a position ends in each partition.

    Raises:
        InvalidPosition: the log is not there, or it tells nothing of a partition.
    """
    mine = position.only(uuids)
    Position({}, uuids).reached(mine)  # refuses another topic of the same name
    for place in sorted({*bounds, *mine.offsets}):
        topic, number = place
        if place not in mine.offsets:
            raise InvalidPosition(
                f"the position says nothing of partition {number} of {topic}, which the projection folds too: "
                "`kafold projections list --json` prints whole positions"
            )
        if place not in bounds:
            raise InvalidPosition(f"the position speaks of partition {number} of {topic}, which has no such partition")
        if mine.offsets[place] > bounds[place][1]:
            raise InvalidPosition(
                f"the position is at {mine.offsets[place]} of {topic}[{number}], which ends at {bounds[place][1]}"
            )
    return {place: mine.offsets[place] for place in bounds}


def _check_time(time_ms: int, source: BulkSource, bounds: Bounds, resolve: Mapping[str, Resolve]) -> None:
    firsts = [_first_ms(source, place, end, resolve[place[0]]) for place, (_, end) in bounds.items()]
    known = [each for each in firsts if each is not None]
    if not known:
        raise CannotReplay("there are no events yet: nothing was decided by then")
    if time_ms < min(known):
        first = datetime.fromtimestamp(min(known) / 1000, UTC).isoformat(timespec="milliseconds")
        raise CannotReplay(f"the log begins at {first}: nothing was decided before; ask for that time or a later one")


def _first_ms(source: BulkSource, place: Place, end: int, resolve: Resolve) -> int | None:
    """Return when a partition's first event was decided; None: it has none."""
    batches = source.batches(place, 0, end)
    records = next(batches, None)
    batches.close()
    if records is None:
        return None
    try:
        data = records[0].value()
        meta = resolve(data)[1](data)[1]
        return int(records[0].timestamp()[1]) if meta is None else meta.time_ms
    except Exception:  # noqa: BLE001  (bytes that are no event: Kafka knows when they were written)
        return int(records[0].timestamp()[1])
