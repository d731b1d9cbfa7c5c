"""Tables: where a projection's rows live, and the statements that read and write them.

`<application>.<projection>_v<version>` is a version's table; the view `<application>.<projection>` shows the live one.

Promises: many rows are written with COPY through a staging table (5 times less client work than `unnest`), a few
with one statement; rows that several partitions share are locked before they are read, and a row that is missing is
first made, because a missing row cannot be locked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from streams.kernel.projection import Kept, Row
from streams.postgres.columns import RowShape, plain_arrays, row_shape, unnested
from streams.postgres.connection import Cursor

# A row that was deleted between being seen and being locked is made again; each turn is one such deletion.
LOCK_TURNS_MAX = 100
# A few rows are one round trip instead of three, and there is no staging table to be emptied at the commit.
FEW_ROWS_MAX = 100


def table_name(projection: Kept) -> str:
    """Return the name of a version's table, without its schema."""
    return f"{projection.name}_v{projection.version}"


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one version of a projection."""

    projection: Kept
    shape: RowShape
    name: sql.Identifier
    staging: sql.Identifier

    def stage(self, cursor: Cursor) -> None:
        """Make the staging table of this connection, like the table as it is now."""
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.staging))
        cursor.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DELETE ROWS").format(self.staging, self.name)
        )

    def load(self, cursor: Cursor, keys: Iterable[Any]) -> dict[Any, Row]:
        """Return the rows that there are of these keys, without locking them."""
        return self._select(cursor, keys, sql.SQL(""))

    def lock(self, cursor: Cursor, keys: Iterable[Any]) -> tuple[dict[Any, Row], set[Any]]:
        """Lock the rows in key order, making those that are missing; return the others, and which were made."""
        wanted = sorted(keys, key=self.shape.key_to_column)
        made: set[Any] = set()
        for _ in range(LOCK_TURNS_MAX):
            made |= self._make(cursor, [key for key in wanted if key not in made])
            found = self._select(cursor, wanted, sql.SQL("FOR UPDATE"))
            if len(found) == len(wanted):
                return {key: row for key, row in found.items() if key not in made}, made
        raise RuntimeError(f"rows of {table_name(self.projection)} vanish faster than they can be locked")

    def write(self, cursor: Cursor, rows: Mapping[Any, Row | None]) -> None:
        """Write the rows, and delete those that are None."""
        # In key order, so that neighbours go into the same pages of table and index.
        kept = [row for _, row in sorted(rows.items(), key=self._by_key) if row is not None]
        if kept:
            self._write(cursor, kept)
        if len(kept) < len(rows):
            self.delete(cursor, [key for key, row in rows.items() if row is None])

    def delete(self, cursor: Cursor, keys: Iterable[Any]) -> None:
        """Delete the rows of these keys."""
        gone = [self.shape.key_to_column(key) for key in keys]
        cursor.execute(sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(self.name, self._key), [gone])

    def _write(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        arrays = plain_arrays(self.shape, rows) if len(rows) <= FEW_ROWS_MAX else None
        if arrays is not None:
            cursor.execute(self._upsert(unnested(each.type for each in self.shape.columns)), arrays)
        else:
            self._copy(cursor, rows)
            cursor.execute(self._upsert(self.staging))

    def _make(self, cursor: Cursor, keys: list[Any]) -> set[Any]:
        """Make the missing rows, in key order. Who makes the same row at the same time waits here for the other."""
        if not keys:
            return set()
        rows = {self.shape.key_to_column(key): (key, self.projection.new_row(key)) for key in keys}
        self._copy(cursor, [row for _, row in rows.values()])
        made = cursor.execute(
            sql.SQL("INSERT INTO {} SELECT * FROM {} ORDER BY {} ON CONFLICT DO NOTHING RETURNING {}").format(
                self.name, self.staging, self._key, self._key
            )
        ).fetchall()
        cursor.execute(sql.SQL("DELETE FROM {}").format(self.staging))
        return {rows[key][0] for (key,) in made}

    def _select(self, cursor: Cursor, keys: Iterable[Any], locking: sql.SQL) -> dict[Any, Row]:
        statement = sql.SQL("SELECT {} FROM {} WHERE {} = ANY(%s) ORDER BY {} {}").format(
            sql.SQL(", ").join(self._columns), self.name, self._key, self._key, locking
        )
        field = self.shape.key.name
        found = cursor.execute(statement, [[self.shape.key_to_column(key) for key in keys]])
        rows = map(self.shape.from_columns, found)
        return {getattr(row, field): row for row in rows}

    def _copy(self, cursor: Cursor, rows: Iterable[Row]) -> None:
        with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(self.staging)) as copy:
            copy.set_types([each.type for each in self.shape.columns])
            for row in rows:
                copy.write_row(self.shape.to_columns(row))

    def _by_key(self, item: tuple[Any, Any]) -> Any:
        return self.shape.key_to_column(item[0])

    def _upsert(self, source: sql.Composable) -> sql.Composed:
        changes = [sql.SQL("{0} = excluded.{0}").format(each) for each in self._columns[1:]]
        action = sql.SQL("UPDATE SET ") + sql.SQL(", ").join(changes) if changes else sql.SQL("NOTHING")
        return sql.SQL("INSERT INTO {} SELECT * FROM {} ON CONFLICT ({}) DO {}").format(
            self.name, source, self._key, action
        )

    @property
    def _columns(self) -> list[sql.Identifier]:
        return [sql.Identifier(each.name) for each in self.shape.columns]

    @property
    def _key(self) -> sql.Identifier:
        return sql.Identifier(self.shape.key.name)


def table_of(application: str, projection: Kept) -> Table:
    """Return the table of a projection's version."""
    name = table_name(projection)
    return Table(projection, row_shape(projection), sql.Identifier(application, name), sql.Identifier("pg_temp", name))
