"""Reading one aggregate out of the journal: its raw events, and how far the journal is, by one statement.

One statement sees one snapshot of the database, and the worker writes events and checkpoint in one transaction; so what
is read is exactly the history at the position that comes with it.

Promises: one round trip where nothing has to be waited for; a connection that died while it was idle is not the
reader's trouble.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from schemas.position import Place, Position
from streams.kafka.log_end import CHECK_AFTER_S, LogEnd
from streams.kernel.errors import Stale
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL, Reached, Waited, reached, wait_on
from streams.postgres.connection import Connection

CONNECTIONS_MAX = 4
CONNECT_S = 30.0
ALL = 2**63 - 1

# PostgreSQL 18 hands the reads of a bitmap scan to other processes. For the hundred pages of one aggregate that costs
# more than it saves: 0.53 ms with it, 0.37 ms by the index alone, medians of the same 400 aggregates.
# Planning the statement anew for each aggregate costs another 0.13 ms, and finds the same plan.
_OPTIONS = "-c enable_bitmapscan=off -c plan_cache_mode=force_generic_plan"

_READ = """
WITH state AS MATERIALIZED (
    SELECT c.next, c.topic_id, (
        SELECT min(p."offset") FROM kafold.parked p
        WHERE p.application = c.application AND p.projection = c.projection AND p.version = c.version
            AND p.topic = c.topic AND p.message_key = %(message_key)s AND p.key = %(id)s
    ) AS parked_from
    FROM kafold.checkpoints c
    WHERE c.application = %(application)s AND c.projection = %(reader)s AND c.version = %(reader_version)s
        AND c.topic = %(topic)s AND c.partition = %(partition)s
)
SELECT state.next, state.topic_id, state.parked_from, event.offsets, event.bodies FROM state, LATERAL (
    SELECT array_agg("offset" ORDER BY version) AS offsets, array_agg(data ORDER BY version) AS bodies
    FROM {} WHERE id = %(id)s AND version <= %(upto)s
) AS event
"""


class Found(NamedTuple):
    """What the journal has of an aggregate: its events' offsets and bytes, in version order.

    `parked_from`: the offset of the first event of it that could not be taken into the journal.
    """

    position: Position
    parked_from: int | None = None
    offsets: Sequence[int] = ()
    bodies: Sequence[bytes] = ()


class JournalReader:
    """Reads the journal of one topic. It may be shared between threads."""

    def __init__(
        self, dsn: str, application: str, topic: str, log_end: LogEnd | None = None, connect_s: float = CONNECT_S
    ) -> None:
        """Open the connections.

        `log_end`: what refuses offsets that the topic does not have. `connect_s`: how long to wait for a connection.
        """
        self._log_end = log_end
        self._application = application
        self._topic = topic
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            timeout=connect_s,
            kwargs={"autocommit": True, "application_name": "kafold event store", "options": _OPTIONS},
            open=True,
        )

    def read(self, aggregate_id: str, partition: int, upto: int = ALL) -> Found:
        """Return what there is of an aggregate, in version order, up to a version."""
        try:
            return self._read(aggregate_id, partition, upto)
        except psycopg.OperationalError:
            # To ask each connection beforehand whether it is alive would be a second round trip.
            self._pool.check()
            return self._read(aggregate_id, partition, upto)

    def read_at_least(
        self, aggregate_id: str, partition: int, upto: int, offset: int, topic_id: str | None, timeout_s: float
    ) -> Found:
        """Return the same, once the journal has come to an offset of the partition. Blocks for at most `timeout_s`.

        Raises:
            BeyondLog: the topic does not go so far.
            InvalidPosition: the topic has another UUID now.
            Stale: the journal has not come so far in time.
        """
        place: Place = self._topic, partition
        goal = Position({place: offset}, {} if topic_id is None else {self._topic: topic_id})
        found = self.read(aggregate_id, partition, upto)
        if reached(found.position, goal).reached is Reached.YES:
            return found
        with self._pool.connection() as connection:
            waited = self._wait(connection, goal, timeout_s)
        if waited.reached is not Reached.YES:
            raise Stale(f"the journal of {self._topic}", waited.position.only([self._topic]), goal)
        return self.read(aggregate_id, partition, upto)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _wait(self, connection: Connection, goal: Position, timeout_s: float) -> Waited:
        soon_s = min(timeout_s, CHECK_AFTER_S)
        waited = wait_on(connection, self._application, JOURNAL.name, goal, soon_s)
        if waited.reached is Reached.YES:
            return waited
        if self._log_end is not None:
            self._log_end.check(goal)
        return wait_on(connection, self._application, JOURNAL.name, goal, timeout_s - soon_s)

    def _read(self, aggregate_id: str, partition: int, upto: int) -> Found:
        with self._pool.connection() as connection:
            return read_on(connection, self._application, self._topic, aggregate_id, partition, upto)


def read_on(
    connection: Connection, application: str, topic: str, aggregate_id: str, partition: int, upto: int = ALL
) -> Found:
    """Return what there is of an aggregate, over a connection that is there already."""
    parameters = {
        "application": application,
        "reader": JOURNAL.name,
        "reader_version": JOURNAL.version,
        "topic": topic,
        "partition": partition,
        "message_key": aggregate_id.encode(),
        "id": aggregate_id,
        "upto": upto,
    }
    row: Any = connection.execute(_statement(topic), parameters, binary=True).fetchone()
    if row is None:
        return Found(Position())
    next_offset, topic_id, parked_from, offsets, bodies = row
    position = Position({(topic, partition): next_offset}, {topic: topic_id})
    return Found(position, parked_from, offsets or (), bodies or ())


@cache
def _statement(topic: str) -> bytes:
    return sql.SQL(_READ).format(journal.table(topic)).as_bytes()
