"""Differing: a row model in code against the table in the database.

A version's table never changes once it has rows: what differs needs a new version of the projection, which a replay
fills. Comments are no difference, `kafold up` writes them anew.

Promises: PostgreSQL itself says what the code's table would be, as a temporary table that is gone at the end.
"""

from typing import NamedTuple

from psycopg import sql

from streams.kernel.application import AnyProjection
from streams.postgres.connection import Connection, Cursor
from streams.postgres.setup import define_table
from streams.postgres.tables import table_of

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
    || CASE WHEN c.collname IS NULL OR c.collname = 'default' THEN '' ELSE ' COLLATE "' || c.collname || '"' END
    || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
    || CASE WHEN i.indexrelid IS NULL THEN '' ELSE ' PRIMARY KEY' END
FROM pg_attribute a
    LEFT JOIN pg_collation c ON c.oid = a.attcollation
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
ORDER = "(order of columns)"


class Difference(NamedTuple):
    """One column that is not the same; None: it is not there at all."""

    column: str
    in_code: str | None
    in_database: str | None


def differences(connection: Connection, application: str, projection: AnyProjection) -> list[Difference] | None:
    """Return what differs between the projection's row model and its version's table; None: there is no table yet."""
    table = table_of(application, projection)
    wanted = sql.Identifier("pg_temp", "wanted")
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        there = _columns(cursor, table.name)
        if not there:
            return None
        cursor.execute(define_table(wanted, table.shape))
        return compare(_columns(cursor, wanted), there)


def compare(in_code: dict[str, str], in_database: dict[str, str]) -> list[Difference]:
    """Return the columns whose definitions are not the same; both are in the order of their columns."""
    found = [
        Difference(name, in_code.get(name), in_database.get(name))
        for name in {**in_code, **in_database}
        if in_code.get(name) != in_database.get(name)
    ]
    if not found and list(in_code) != list(in_database):
        return [Difference(ORDER, ", ".join(in_code), ", ".join(in_database))]
    return found


def _columns(cursor: Cursor, table: sql.Identifier) -> dict[str, str]:
    return dict(cursor.execute(_COLUMNS, [table.as_string(cursor)]).fetchall())
