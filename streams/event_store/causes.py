"""Causes: the events that made a row, found where they lie, for `kafold projections explain`.

The events of a row that is keyed by its aggregate are that aggregate's history, so they come from the journal in
milliseconds. Any other row's may lie anywhere, so the projection's topics are read up to its checkpoint.

Promises: only events that the projection has folded, so that they lead to the row as it is; those of the row that are
parked are counted, not folded. Events of several partitions are put in the order of their time.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from psycopg import sql

from schemas.errors import DecodingError
from schemas.position import Place
from schemas.registry import SchemaIds
from streams.event_store.history import history_of
from streams.event_store.reading import read_on
from streams.kafka.config import Kafka
from streams.kafka.scanning import OnProgress, scan
from streams.kernel.application import AnyProjection, Application
from streams.kernel.explaining import Cause, Located, acts_on, explain, in_order
from streams.kernel.partitioner import partition_of
from streams.postgres.connection import Connection, connect
from streams.postgres.tables import table_of

_CHECKPOINTS = """
SELECT topic, partition, next FROM kafold.checkpoints WHERE application = %s AND projection = %s AND version = %s
ORDER BY topic, partition
"""
_PARKED = """
SELECT topic, partition, "offset" FROM kafold.parked WHERE application = %s AND projection = %s AND version = %s
"""
_EXISTS = "SELECT EXISTS (SELECT FROM {} WHERE {} = %s)"


class Explained(NamedTuple):
    """A row's causes in order. `exists`: whether the row is there. `parked`: how many of its events wait."""

    causes: list[Cause]
    exists: bool
    parked: int


def explain_row(
    application: Application,
    projection: AnyProjection,
    key: Any,
    *,
    kafka: Kafka,
    dsn: str,
    ids: SchemaIds,
    partitions: int,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Explained:
    """Return what made a row. `on_progress` is told how many offsets of how many are read, where the log has to be.

    Raises:
        ParkedHistory: an event of the row's aggregate could not be taken into the journal.
    """
    reader = [application.name, projection.name, projection.version]
    with connect(dsn, "explain") as connection:
        ends = {(topic, partition): at for topic, partition, at in connection.execute(_CHECKPOINTS, reader)}
        parked = set(connection.execute(_PARKED, reader).fetchall())
        exists = _exists(connection, application, projection, key)
        if projection.on_aggregate_key:
            found = _from_journals(connection, application, projection, key, ids, partitions)
        else:
            found = recorded_events(application, projection, kafka, ids, ends, on_progress)
        folded, waiting = [], 0
        for each in found:
            if not acts_on(projection, key, each.event) or each.offset >= ends.get(each[:2], 0):
                continue
            if each[:3] in parked:
                waiting += 1
            else:
                folded.append(each)
    return Explained(explain(projection, key, in_order(folded)), exists, waiting)


def recorded_events(
    application: Application,
    projection: AnyProjection,
    kafka: Kafka,
    ids: SchemaIds,
    ends: Mapping[Place, int],
    on_progress: OnProgress = lambda _done, _total: None,
) -> Iterator[Located]:
    """Yield the events before the ends that the projection's codecs can decode; the others are dead, or parked."""
    decoders = {
        application.topics(aggregate).events: application.event_codec(aggregate, ids).decode
        for aggregate in projection.of
    }
    for record in scan(kafka, ends, on_progress):
        try:
            event, meta = decoders[record.topic()](record.value() or b"")
        except DecodingError:
            continue
        yield Located(record.topic(), record.partition(), record.offset(), event, meta)


def _from_journals(
    connection: Connection, application: Application, projection: AnyProjection, key: Any, ids: SchemaIds,
    partitions: int,
) -> Iterator[Located]:  # fmt: skip
    aggregate_id = str(key)
    partition = partition_of(aggregate_id.encode(), partitions)
    for aggregate in projection.of:
        topic, decode = application.topics(aggregate).events, application.event_codec(aggregate, ids).decode
        found = read_on(connection, application.name, topic, aggregate_id, partition)
        for each in history_of(aggregate_id, found, topic, decode).whole():
            yield Located(topic, partition, each.offset, each.event, each.metadata)


def _exists(connection: Connection, application: Application, projection: AnyProjection, key: Any) -> bool:
    table = table_of(application.name, projection)
    statement = sql.SQL(_EXISTS).format(table.name, sql.Identifier(projection.key_field))
    [(exists,)] = connection.execute(statement, [table.shape.key_to_column(key)]).fetchall()
    return bool(exists)
