"""Rows as of a moment, where they are keyed by their aggregate: the fold of that aggregate's history up to it.

Promises: milliseconds, from the journal, without Kafka, and without a look at the projection's table; a position and a
version are waited for; what cannot be answered so (the row's events may lie anywhere, a version of several aggregates)
is refused before anything is read.
"""

from collections.abc import Iterator
from typing import Any

from schemas.closing import Closing
from schemas.errors import DefinitionError, InvalidPosition
from schemas.position import Position
from schemas.registry import SchemaIds
from streams.event_store.history import History
from streams.event_store.moment import ALWAYS, Moment
from streams.event_store.reading import CONNECT_S
from streams.event_store.store import WAIT_S, EventStore
from streams.kernel.application import AnyProjection, Application
from streams.kernel.explaining import Located, in_order
from streams.kernel.folding import Envelope, plan
from streams.kernel.row_then import RowFold, RowThen


class AggregateRows(Closing):
    """Rows of one projection. It may be shared between threads; close it, or use it in a `with`."""

    def __init__(
        self, application: Application, projection: AnyProjection, *, dsn: str, ids: SchemaIds, partitions: int,
        connect_s: float = CONNECT_S,
    ) -> None:  # fmt: skip
        """Open the connections.

        Raises:
            DefinitionError: the projection's rows are not keyed by their aggregate.
        """
        if not projection.on_aggregate_key:
            raise DefinitionError(f"rows of {projection.name} are not keyed by their aggregate")
        self._projection = projection
        self._stores: list[EventStore[Any, Any, Any]] = [
            EventStore(application, each, dsn=dsn, ids=ids, partitions=partitions, connect_s=connect_s)
            for each in projection.of
        ]

    def row(self, key: str, moment: Moment, at_least: Position | None = None, timeout_s: float = WAIT_S) -> RowThen:
        """Return a row as of a moment. Blocks for at most `timeout_s` until the journal has come to it.

        Raises:
            DecodingError: an event cannot be read by today's classes.
            InvalidPosition: the moment says nothing of the row, or is of another topic of the same name.
            Stale: the journal has not come so far in time.
        """
        check_moment(self._projection, moment)
        histories = [store.as_of(key, moment, at_least, timeout_s) for store in self._stores]
        made = RowFold(self._projection, key)
        located = in_order(each for history in histories for each in _located(history))
        made.take(plan(self._projection, [Envelope(each.offset, key.encode(), b"", *each[3:]) for each in located]))
        made.waiting += sum(history.parked_from is not None for history in histories)
        position = Position()
        for history in histories:
            position = position.merge(history.position)
        return made.then(position, came_later=not made.events and self._has_any(key))

    def close(self) -> None:
        """Close the connections."""
        for store in self._stores:
            store.close()

    def _has_any(self, key: str) -> bool:
        histories = [store.as_of(key, ALWAYS) for store in self._stores]
        return any(type(each.event) in self._projection.event_types for history in histories for each in history)


def check_moment(projection: AnyProjection, moment: Moment) -> None:
    """Refuse a version where it is not one aggregate's.

    Raises:
        InvalidPosition: the text says why.
    """
    if moment.version is None:
        return
    wrong = None
    if not projection.on_aggregate_key:
        wrong = f"rows of {projection.name} are not keyed by their aggregate"
    elif len(projection.of) > 1:
        wrong = f"{projection.name} folds {' and '.join(each.name for each in projection.of)}, which have one each"
    if wrong is not None:
        raise InvalidPosition(f"{moment.version} is a version, but {wrong}: name a position or a time")


def _located(history: History[Any]) -> Iterator[Located]:
    for topic, partition in history.position.offsets:
        for each in history:
            yield Located(topic, partition, each.offset, each.event, each.metadata)
