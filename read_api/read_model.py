"""The read model in PostgreSQL: runs selects, and says how far each projection is.

Every connection logs in as the database's user but works as the application's reader, a role that sees views only; it
is read-only besides, and no statement runs longer than `STATEMENT_MS_MAX`.

Promises: nothing can be written through it, whatever SQL a handler returns; it opens while the database is away.
"""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from read_api.bus import Stale
from schemas.position import Position
from streams.kafka.log_end import CHECK_AFTER_S, LogEnd
from streams.kernel.application import Application
from streams.kernel.query import Record, Select
from streams.postgres.checkpoints import POLL_S_MAX, POLL_S_MIN, Reached, reached
from streams.postgres.views import reader_role

CONNECTIONS_MAX = 10
CONNECTION_WAIT_S = 5.0
STATEMENT_MS_MAX = 10_000

_POSITION = """
SELECT topic, partition, next, topic_id FROM kafold.positions
WHERE application = %s AND projection = %s AND live
"""

_PARKED = """
SELECT DISTINCT key FROM kafold.parked_keys JOIN (
    SELECT DISTINCT application, projection, version FROM kafold.positions WHERE live
) AS shown USING (application, projection, version)
WHERE application = %s AND projection = %s AND key = ANY(%s)
"""


class PostgresReadModel:
    """The read model of one application: an async context manager, which opens and closes its connections."""

    def __init__(self, application: Application, dsn: str, log_end: LogEnd | None = None) -> None:
        """`log_end`: what refuses positions that nobody was given; None: they are waited for like any other."""
        self._application = application
        self._log_end = log_end
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[dict[str, Any]]] = AsyncConnectionPool(
            reader_conninfo(dsn, application.name),
            min_size=1,
            max_size=CONNECTIONS_MAX,
            timeout=CONNECTION_WAIT_S,
            open=False,
            kwargs={"autocommit": True, "row_factory": dict_row},
            check=AsyncConnectionPool.check_connection,
        )

    async def __aenter__(self) -> Self:
        """Begin to connect."""
        await self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._pool.close()

    async def records(self, select: Select[Any]) -> Sequence[Record]:
        """Run a select."""
        async with self._pool.connection() as connection:
            return await (await connection.execute(select.sql.encode(), select.parameters)).fetchall()

    async def reach(self, projection: str, after: Position, timeout_s: float) -> None:
        """Wait until a projection has reached a position. Events that it does not fold cannot change it.

        Raises:
            BeyondLog: the log does not go so far.
            InvalidPosition: the position speaks of another topic of the same name.
            Stale: it has not come that far in time.
        """
        goal = after.only(self._sources(projection))
        began, pause_s = time.monotonic(), POLL_S_MIN
        unchecked = self._log_end
        while (waited := reached(await self._position(projection), goal)).reached is not Reached.YES:
            waited_s = time.monotonic() - began
            if unchecked is not None and waited_s >= min(timeout_s, CHECK_AFTER_S):
                await asyncio.to_thread(unchecked.check, goal)
                unchecked = None
            if waited_s >= timeout_s:
                raise Stale(projection, waited.position, goal)
            # The database has no way to say "now": the checkpoint is asked for, less and less often.
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, POLL_S_MAX)

    async def parked(self, projection: str, keys: Sequence[str]) -> frozenset[str]:
        """Return those of the keys, as texts, that wait behind an event which the projection could not take."""
        async with self._pool.connection() as connection:
            found = await connection.execute(_PARKED, [self._application.name, projection, list(keys)])
            return frozenset(each["key"] for each in await found.fetchall())

    async def obstacle(self, projections: Sequence[str]) -> str | None:
        """Return why queries cannot be answered, or None when they can."""
        try:
            async with self._pool.connection() as connection:
                for name in projections:
                    await connection.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(sql.Identifier(name)))
        except (PoolTimeout, psycopg.OperationalError):
            return "the database does not answer, or the application's tables are not prepared: run `kafold up`"
        except psycopg.ProgrammingError as error:
            return f"{error.diag.message_primary}: run `kafold up` to prepare the application's tables"
        return None

    def _sources(self, projection: str) -> set[str]:
        return {self._application.topics(each).events for each in self._application.projection(projection).of}

    async def _position(self, projection: str) -> Position:
        async with self._pool.connection() as connection:
            found = await (await connection.execute(_POSITION, [self._application.name, projection])).fetchall()
        offsets = {(each["topic"], each["partition"]): each["next"] for each in found}
        return Position(offsets, {each["topic"]: each["topic_id"] for each in found})


def reader_conninfo(dsn: str, application: str) -> str:
    """Return a connection string that works as the application's reader, and can only read."""
    limits = {
        "role": reader_role(application),
        "search_path": f'"{application}"',
        "default_transaction_read_only": "on",
        "statement_timeout": str(STATEMENT_MS_MAX),
    }
    given = conninfo_to_dict(dsn).get("options") or ""
    options = " ".join([str(given), *(f"-c {name}={value}" for name, value in limits.items())]).strip()
    return make_conninfo(dsn, options=options, application_name="kafold read API")
