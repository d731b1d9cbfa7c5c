"""Building: a plan carried out, by the bulk runner, up to the handover to the live workers.

**Handover** is one change of state in the books: from then on a worker whose code defines the version folds it, from
the checkpoints that the last save left. No event is between the two, and none is folded twice.

Promises: commands and workers go on meanwhile; a build that is stopped or killed goes on from its last save.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from psycopg import sql

from schemas.position import Place, Position
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import AnyProjection, Application
from streams.kernel.bulk import BulkFold, BulkRows, Resolve
from streams.kernel.ignoring import ignores_metadata
from streams.kernel.row_per_event import RowPerEvent
from streams.postgres.connection import Connection, connect, connect_to_fold
from streams.postgres.parking import code_of, parked_keys
from streams.postgres.tables import Table
from streams.postgres.versions import State, set_state
from streams.replay.planning import Plan, forget_changes, lock_saves
from streams.replay.running import Limits, OnProgress, Runner
from streams.replay.saving import TableSink
from streams.replay.source import BulkSource

_COUNT = "SELECT count(*) FROM {}"
_SAVED = """
SELECT topic, partition, next FROM kafold.checkpoints WHERE application = %s AND projection = %s AND version = %s
"""
Stopped = Callable[[], bool]


def resolvers(
    application: Application, projection: AnyProjection, ids: SchemaIds, *, bare: bool = False
) -> Mapping[str, Resolve]:
    """Return by topic what tells a record's type and decodes it. `bare`: without metadata, where that is quicker."""
    return {
        application.topics(aggregate).events: partial(application.event_codec(aggregate, ids).resolve, bare=bare)
        for aggregate in projection.of
    }


def bulk_fold(application: Application, projection: AnyProjection, ids: SchemaIds) -> BulkFold:
    """Return the quickest fold of a projection."""
    if isinstance(projection, RowPerEvent):
        [source] = [each for each in projection.of if projection.event in each.event_types]
        resolve, fields = application.event_codec(source, ids).resolve_fields, tuple(projection.row.model_fields)
        topic = application.topics(source).events
        return BulkRows(projection, {topic: partial(resolve, kind=projection.event, fields=fields)})
    bare = ignores_metadata(projection.project)
    return BulkFold(projection, resolvers(application, projection, ids, bare=bare))


def build(
    plan: Plan, kafka: Kafka, dsn: str, ids: SchemaIds, places: Mapping[Place, int], part: int = 0, *,
    park: bool = False, limits: Limits | None = None, on_progress: OnProgress = lambda _: None,
    stopped: Stopped = lambda: False,
) -> Position | None:  # fmt: skip
    """Fold these partitions of a plan, up to the log's end or nearly. None: it was stopped, and all of it is saved.

    Raises:
        Unfoldable: an event cannot be folded.
        Fenced: another replay of the same version has begun.
    """
    limits, positions = limits or Limits(), dict(places)
    with ExitStack() as opened:
        loading = opened.enter_context(connect(dsn, "replay"))
        saving = opened.enter_context(connect_to_fold(dsn, "replay saves"))
        lock_saves(saving, plan.application.name, plan.reader)
        source = opened.enter_context(BulkSource(kafka, f"replay-{plan.reader.name}-{part}"))
        fold = bulk_fold(plan.application, plan.projection, ids)
        fold.parked = parked_keys(loading.cursor(), plan.application.name, plan.reader, plan.table.shape)
        complete = not (plan.resumed and fold.needs_rows) or _load_all(loading, plan.table, fold.rows, limits.rows_max)
        sink = TableSink(
            (loading, saving), plan.application.name, plan.table, positions, plan.topic_ids,
            code_of(plan.projection.project), part, as_tuples=not fold.needs_rows,
        )  # fmt: skip
        runner = Runner(source, fold, sink, positions, complete, park, limits, on_progress, stopped)
        ended = runner.run()
    return Position(positions, dict(plan.topic_ids)) if ended else None


def hand_over(connection: Connection, plan: Plan) -> None:
    """Let the live workers go on with the version. Every part of it must be built."""
    with connection.transaction(), connection.cursor() as cursor:
        forget_changes(cursor, plan.application.name, plan.reader)
        set_state(cursor, plan.application.name, plan.reader, State.FOLDED)
    connection.execute(sql.SQL("ANALYZE {}").format(plan.table.name))


def saved(connection: Connection, plan: Plan) -> Position:
    """Return what a build that was stopped has saved."""
    found = connection.execute(_SAVED, [plan.application.name, *plan.reader]).fetchall()
    return Position({(topic, partition): at for topic, partition, at in found}, dict(plan.topic_ids))


def _load_all(connection: Connection, table: Table, rows: dict[Any, Any], rows_max: int) -> bool:
    """Load what an earlier run has built, if there is room for it; return whether."""
    (count,) = connection.execute(sql.SQL(_COUNT).format(table.name)).fetchone() or (0,)
    if count > rows_max:
        return False
    key, make = table.shape.key.name, partial(map, table.shape.from_columns)
    columns = sql.SQL(", ").join(sql.Identifier(each.name) for each in table.shape.columns)
    with connection.transaction(), connection.cursor(name="rows") as cursor:
        cursor.itersize = 10_000
        cursor.execute(sql.SQL("SELECT {} FROM {}").format(columns, table.name))
        rows.update((getattr(row, key), row) for row in make(cursor))
    return True
