"""Views: what analysts and the read API read, one view a projection, over its live version's table.

Promises: switching is part of the caller's transaction, so readers see one version or the other; grants and comments
survive it, and so do views of other people's upon it wherever PostgreSQL can replace the view in place (columns were
only added at the end).
"""

import psycopg
from psycopg import sql

from schemas.errors import KafoldError
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import Cursor

_SELECT = "CREATE {replace} VIEW {view} AS SELECT * FROM {table}"

_GRANTS = """
SELECT grantee::regrole::text, privilege_type, is_grantable FROM pg_class, aclexplode(relacl)
WHERE oid = %s::regclass AND grantee <> 0 AND grantee <> relowner
"""

_COMMENTS = """
SELECT attname, col_description(attrelid, attnum) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""

_LIVE = "UPDATE kafold.projections SET live = %s WHERE application = %s AND projection = %s AND version = %s"
_NONE_LIVE = "UPDATE kafold.projections SET live = false WHERE application = %s AND projection = %s AND live"


class ViewInUse(KafoldError):
    """Something of other people's hangs on a view that has to be made anew. The text names it: drop it first."""


def reader_role(application: str) -> str:
    """Return the name of the application's read-only role."""
    return f"{application}_reader"


def view_of(application: str, projection: str) -> sql.Identifier:
    """Return the name of a projection's view."""
    return sql.Identifier(application, projection)


def table_of_version(application: str, reader: Reader) -> sql.Identifier:
    """Return the name of a version's table."""
    return sql.Identifier(application, f"{reader.name}_v{reader.version}")


def show(cursor: Cursor, application: str, reader: Reader) -> None:
    """Let the projection's view show this version. The view is locked until the transaction's end.

    Raises:
        ViewInUse: another view depends on it, and its columns change.
    """
    view, table = view_of(application, reader.name), table_of_version(application, reader)
    try:
        with cursor.connection.transaction():
            cursor.execute(_select(view, table, "OR REPLACE"))
    except psycopg.errors.InvalidTableDefinition:
        _make_anew(cursor, view, table)
    _describe(cursor, view, table)
    cursor.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view, sql.Identifier(reader_role(application))))
    cursor.execute(_NONE_LIVE, [application, reader.name])
    cursor.execute(_LIVE, [True, application, *reader])


def _make_anew(cursor: Cursor, view: sql.Identifier, table: sql.Identifier) -> None:
    grants = cursor.execute(_GRANTS, [view.as_string(cursor)]).fetchall()
    try:
        with cursor.connection.transaction():
            cursor.execute(sql.SQL("DROP VIEW {}").format(view))
    except psycopg.errors.DependentObjectsStillExist as error:
        raise ViewInUse(
            f"the columns of {view.as_string(cursor)} change, and other objects use it: {error.diag.message_detail}. "
            "Drop them, and make them anew afterwards"
        ) from error
    cursor.execute(_select(view, table, ""))
    for grantee, privilege, grantable in grants:
        option = " WITH GRANT OPTION" if grantable else ""
        # The names come from PostgreSQL, which has quoted them.
        cursor.execute(sql.SQL("GRANT " + privilege + " ON {} TO " + grantee + option).format(view))


def _select(view: sql.Identifier, table: sql.Identifier, replace: str) -> sql.Composed:
    return sql.SQL(_SELECT).format(replace=sql.SQL(replace), view=view, table=table)


def _describe(cursor: Cursor, view: sql.Identifier, table: sql.Identifier) -> None:
    """Give the view its table's comments."""
    name = table.as_string(cursor)
    (about,) = cursor.execute("SELECT obj_description(%s::regclass)", [name]).fetchone() or (None,)
    cursor.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(about)))
    for column, comment in cursor.execute(_COMMENTS, [name]).fetchall():
        where = sql.SQL("{}.{}").format(view, sql.Identifier(column))
        cursor.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(where, sql.Literal(comment)))
