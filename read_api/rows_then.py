"""Rows then: the port of the row routes to the journal, for rows as of a moment.

Reading the journal blocks, so it is done in threads; waiting for it is not, so that whoever waits holds neither a
thread nor a connection.

Promises: nothing is connected to before the first row is asked for, so that the API starts while the rest is away; what
is opened then stays open for the next one.
"""

import asyncio
import threading
import time
from collections.abc import Callable

from confluent_kafka import KafkaException
from fastapi.concurrency import run_in_threadpool

from read_api.problems import Unavailable
from read_api.read_model import CONNECTION_WAIT_S
from schemas.errors import KafoldError
from schemas.position import Position
from schemas.registry import SchemaIds
from streams.event_store.moment import Moment
from streams.event_store.rows import AggregateRows, check_moment
from streams.kernel.application import AnyProjection, Application
from streams.kernel.errors import Stale
from streams.kernel.partitioner import partition_of
from streams.kernel.row_then import RowThen
from streams.postgres.checkpoints import POLL_S_MAX, POLL_S_MIN


class RowsThen:
    """The rows of an application's projections as of moments, where they are keyed by their aggregate."""

    def __init__(self, application: Application, dsn: str, partitions: int, ids: Callable[[], SchemaIds]) -> None:
        """`ids` is called, in a thread, when the first row is asked for. `partitions`: of the application's topics."""
        self._application = application
        self._dsn = dsn
        self._partitions = partitions
        self._ids = ids
        self._opened: dict[str, AggregateRows] = {}
        self._lock = threading.Lock()

    def check(self, projection: AnyProjection, key: str, moment: Moment) -> None:
        """Refuse a moment that says nothing of this row.

        Raises:
            InvalidPosition: the text says why.
        """
        check_moment(projection, moment)
        partition = partition_of(key.encode(), self._partitions)
        for each in projection.of:
            moment.end_at((self._application.topics(each).events, partition))

    async def row(
        self, projection: AnyProjection, key: str, moment: Moment, after: Position | None, timeout_s: float
    ) -> RowThen:
        """Return a row as of a moment, from a journal that is at `after`.

        Raises:
            DecodingError: an event cannot be read by today's classes.
            InvalidPosition: a position is of another topic of the same name.
            Stale: the journal is not at the moment, or at `after`, in time.
            Unavailable: there is no way to the schemas.
        """
        deadline, pause_s = time.monotonic() + timeout_s, POLL_S_MIN
        while True:
            try:
                return await run_in_threadpool(self._row, projection, key, moment, after)
            except Stale:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, POLL_S_MAX)

    def close(self) -> None:
        """Close what was opened."""
        for each in self._opened.values():
            each.close()

    def _row(self, projection: AnyProjection, key: str, moment: Moment, after: Position | None) -> RowThen:
        return self._rows(projection).row(key, moment, after, timeout_s=0)

    def _rows(self, projection: AnyProjection) -> AggregateRows:
        with self._lock:
            if projection.name not in self._opened:
                self._opened[projection.name] = AggregateRows(
                    self._application, projection, dsn=self._dsn, ids=self._schema_ids(), partitions=self._partitions,
                    connect_s=CONNECTION_WAIT_S,
                )  # fmt: skip
            return self._opened[projection.name]

    def _schema_ids(self) -> SchemaIds:
        try:
            return self._ids()
        except (KafoldError, KafkaException) as error:
            raise Unavailable(f"the schemas of the events cannot be had: {error}") from error
