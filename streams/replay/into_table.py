"""Into a table: the rows of a one-off read model in a new table of the database, outside of what belongs to kafold.

Promises: made and filled in one transaction, so that there is the whole table or none; nothing that is there already
is touched.
"""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from streams.postgres.columns import RowShape
from streams.postgres.connection import REFUSALS, Connection
from streams.postgres.setup import define_table
from streams.replay.errors import CannotReplay, unwritable

NAME_BYTES_MAX = 63  # PostgreSQL cuts off the rest
_LOOK = """
SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL,
    to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(name)s)) IS NOT NULL,
    coalesce(has_schema_privilege(to_regnamespace(quote_ident(%(schema)s))::oid, 'CREATE'), false)
"""


class NewTable:
    """A table that is not there yet."""

    def __init__(self, into: str, application: str) -> None:
        """`into`: `schema.table`, as it is called without quotes.

        Raises:
            CannotReplay: that is no such name, or the schema is kafold's own.
        """
        schema, dot, name = into.partition(".")
        if not (schema and dot and name) or "." in name or "\0" in into:
            raise CannotReplay(f"--into {into}: write it as schema.table; a file needs --format too")
        for part in (schema, name):
            if len(part.encode()) > NAME_BYTES_MAX:
                raise CannotReplay(f"--into {into}: {part} is longer than the {NAME_BYTES_MAX} bytes of a name")
        if schema in ("kafold", application):
            raise CannotReplay(f"--into {into}: the schema {schema} is kept by kafold; name another one")
        self._schema, self._table = schema, name
        self._name = sql.Identifier(schema, name)
        self._into = into

    def check(self, connection: Connection) -> None:
        """See whether it can be made, before there is work to lose.

        Raises:
            CannotReplay: the text says what to do first.
        """
        found = connection.execute(_LOOK, {"schema": self._schema, "name": self._table}).fetchone()
        schema_is_there, taken, allowed = found or (False, False, False)
        if not schema_is_there:
            raise CannotReplay(f"there is no schema {self._schema}: make it first (CREATE SCHEMA), or name another one")
        if taken:
            raise CannotReplay(f"{self._into} is there already, and stays as it is: name another table, or drop it")
        if not allowed:
            raise CannotReplay(f"this role may not make tables in {self._schema}: have it granted, or name another one")

    def write(self, connection: Connection, shape: RowShape, rows: Iterable[Any], about: str) -> int:
        """Make and fill it, with a comment; return how many rows it has.

        Raises:
            CannotReplay: somebody made it meanwhile.
            Unwritable: the database does not take a row.
        """
        count = 0
        try:
            with connection.transaction(), connection.cursor() as cursor:
                self.check(connection)
                cursor.execute(define_table(self._name, shape))
                with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(self._name)) as copy:
                    copy.set_types([each.type for each in shape.columns])
                    for count, row in enumerate(rows, 1):  # noqa: B007  (the last number is how many there are)
                        copy.write_row(shape.to_columns(row))
                cursor.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(self._name, sql.Literal(about)))
                cursor.execute(sql.SQL("ANALYZE {}").format(self._name))
        except REFUSALS as error:
            raise unwritable(self._into, error) from error
        except psycopg.errors.DuplicateTable as error:
            raise CannotReplay(f"somebody made {self._into} meanwhile: nothing was written") from error
        return count
