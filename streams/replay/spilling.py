"""Spilling: the rows of a one-off fold, in memory, or in a temporary table once they are more than memory holds.

Promises: no more rows stay in memory than the runner keeps there and one batch touches; PostgreSQL throws the table
away with its connection, however the process ends; rows are given back in the order of their keys.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from psycopg import sql

from streams.kernel.application import AnyProjection
from streams.postgres.columns import row_shape
from streams.postgres.connection import REFUSALS, Connection
from streams.postgres.setup import define_table
from streams.postgres.tables import Table
from streams.replay.errors import unwritable
from streams.replay.running import Share

FETCHED_ROWS = 10_000


class Spill:
    """The sink of a one-off fold."""

    def __init__(self, connection: Connection, projection: AnyProjection) -> None:
        """Take a connection, of which nothing is asked as long as memory suffices."""
        self._connection = connection
        self._table = Table(
            projection, row_shape(projection), sql.Identifier("pg_temp", "spilled"), sql.Identifier("pg_temp", "staged")
        )
        self._kept: Mapping[Any, Any] = {}  # what memory held when it was given up, not in the table yet
        self.spilled = False

    def load(self, keys: Iterable[Any]) -> Mapping[Any, Any]:
        """Return the rows that there are of these keys. Asked only after memory was given up."""
        self._write()
        return self._table.load(self._connection.cursor(), keys)

    def wants_all(self) -> bool:
        """Return that it does not: what is in memory is safe there, as nobody goes on with a one-off fold."""
        return False

    def save(self, share: Share, rows: Mapping[Any, Any] | None) -> None:  # noqa: ARG002  (`rows` has them all)
        """Keep all rows that were in memory. They go into the table when there is need: at the end there may be none.

        Raises:
            Unwritable: the database does not take a row.
        """
        if rows is not None:
            self._write()
            self._kept = rows

    def rows(self) -> Iterator[Any]:
        """Yield every row, in the order of the keys.

        Raises:
            Unwritable: the database does not take a row.
        """
        shape = self._table.shape
        if not self.spilled:
            yield from sorted((row for row in self._kept.values() if row is not None), key=self._by_key)
            return
        self._write()
        columns = sql.SQL(", ").join(sql.Identifier(each.name) for each in shape.columns)
        query = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
            columns, self._table.name, sql.Identifier(shape.key.name)
        )
        with self._connection.transaction(), self._connection.cursor(name="rows") as cursor:
            cursor.itersize = FETCHED_ROWS
            cursor.execute(query)
            yield from map(shape.from_columns, cursor)

    def _write(self) -> None:
        if not self._kept:
            return
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                if not self.spilled:
                    cursor.execute(define_table(self._table.name, self._table.shape))
                    self._table.stage(cursor)
                self._table.write(cursor, self._kept)
        except REFUSALS as error:
            raise unwritable(self._table.projection.name, error) from error
        self._kept, self.spilled = {}, True

    def _by_key(self, row: Any) -> Any:
        shape = self._table.shape
        return shape.key_to_column(getattr(row, shape.key.name))
