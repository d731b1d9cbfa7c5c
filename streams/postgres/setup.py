"""Setting up the database: schemas, tables, views, comments and the reader role of an application.

Beside the books (`streams/postgres/books.py`), a schema of the application's name has, for analysts, one view a
projection over its live version's table. Names and comments come from the row models.

Promises: to prepare again changes nothing; two processes may prepare at once; the reader role sees views and no tables.
"""

import inspect
from collections.abc import Iterator

from psycopg import sql

from streams.kernel.application import Application
from streams.kernel.projection import Kept
from streams.postgres import journal
from streams.postgres.books import prepare_books
from streams.postgres.checkpoints import Reader
from streams.postgres.columns import Column, RowShape
from streams.postgres.connection import Connection, Cursor, connect, repeated
from streams.postgres.tables import Table, table_of
from streams.postgres.versions import State, declare, live, versions
from streams.postgres.views import reader_role, show

LOCK = 0x6B61666F6C6401  # "kafold" in ASCII, 1: the advisory lock of whoever changes the database's structure

# Roles belong to the whole server: another database's preparation may make the same one at the same moment.
_ROLE = """
DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
"""


def prepare(dsn: str, application: Application) -> None:
    """Make what is missing of an application's schemas, tables, views, comments and role."""
    with connect(dsn, "prepare") as connection:
        # Workers lock the same tables, and one of them may be frozen.
        repeated(connection, lambda: _prepare(connection, application))


def _prepare(connection: Connection, application: Application) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        # "… already exists, skipping" is what preparing again is about.
        cursor.execute("SET LOCAL client_min_messages = warning")
        prepare_books(cursor)
        for aggregate in application.aggregates:
            journal.create(cursor, application.topics(aggregate).events)
        _schema(cursor, application.name)
        _role(cursor, application.name)
        # The newest first, for an empty database to show.
        for projection in sorted(application.projections, key=lambda each: -each.version):
            _projection(cursor, application.name, projection)
        for manager in application.process_managers:
            _process_manager(cursor, application.name, manager)


def make_table(cursor: Cursor, table: Table) -> None:
    """Make the table of a version if there is none, with its comments."""
    cursor.execute(define_table(table.name, table.shape))
    for statement in _comments(table):
        cursor.execute(statement)


def define_table(name: sql.Identifier, shape: RowShape) -> sql.Composed:
    """Return the statement that makes a version's table, under any name, where there is none."""
    columns = sql.SQL(",\n    ").join(_define(column) for column in shape.columns)
    # Rows are updated for ever: room in the page keeps an update out of the indexes.
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} (\n    {},\n    PRIMARY KEY ({})\n) WITH (fillfactor = 80)").format(
        name, columns, sql.Identifier(shape.key.name)
    )


def definition(application: str, projection: Kept) -> str:
    """Return the statements that make a version's table with its comments, for people."""
    table = table_of(application, projection)
    statements = [define_table(table.name, table.shape), *_comments(table)]
    return ";\n".join(each.as_string() for each in statements) + ";"


def _schema(cursor: Cursor, application: str) -> None:
    cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(application)))
    comment = sql.Literal(f"The read models of {application}: query the views.")
    cursor.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(application), comment))


def _projection(cursor: Cursor, application: str, projection: Kept) -> None:
    """The first version is shown and folded at once. A later one waits for its replay, which makes its table."""
    reader, found = Reader(projection.name, projection.version), versions(cursor, application, projection.name)
    if live(found) is None:
        declare(cursor, application, reader, State.FOLDED)
        make_table(cursor, table_of(application, projection))
        show(cursor, application, reader)
    elif any(each.reader == reader and each.state is State.FOLDED for each in found):
        make_table(cursor, table_of(application, projection))
    else:
        declare(cursor, application, reader, State.DECLARED)


def _process_manager(cursor: Cursor, application: str, manager: Kept) -> None:
    """Its version is run and shown at once: `streams/worker/beginning.py` says where it goes on."""
    reader = Reader(manager.name, manager.version)
    declare(cursor, application, reader, State.FOLDED)
    make_table(cursor, table_of(application, manager))
    shown = live(versions(cursor, application, manager.name))
    if shown is None or shown.reader != reader:
        show(cursor, application, reader)


def _define(column: Column) -> sql.Composed:
    space = "" if column.type == "numeric" or not column.modifier else " "
    kind = f"{column.type}{space}{column.modifier}"
    return sql.SQL("{} " + kind + ("" if column.nullable else " NOT NULL")).format(sql.Identifier(column.name))


def _comments(table: Table) -> Iterator[sql.Composed]:
    doc = inspect.getdoc(table.projection.row) or ""
    yield sql.SQL("COMMENT ON TABLE {} IS {}").format(table.name, sql.Literal(" ".join(doc.split())))
    for column in table.shape.columns:
        where = sql.SQL("{}.{}").format(table.name, sql.Identifier(column.name))
        yield sql.SQL("COMMENT ON COLUMN {} IS {}").format(where, sql.Literal(column.comment or None))


def _role(cursor: Cursor, application: str) -> None:
    role = sql.Identifier(reader_role(application))
    cursor.execute(sql.SQL(_ROLE).format(role=role))
    cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA kafold, {} TO {}").format(sql.Identifier(application), role))
    cursor.execute(sql.SQL("GRANT SELECT ON kafold.positions, kafold.parked_keys TO {}").format(role))
