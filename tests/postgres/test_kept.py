"""A kept connection asks over one session, and over a new one when that was lost."""

import psycopg
import pytest

from infra.waiting import wait_until
from streams.postgres.connection import Connection, connect
from streams.postgres.kept import KeptConnection


def session(connection: Connection) -> int:
    """Ask which of the database's processes answers."""
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    return int(pid)


def test_questions_share_a_session_until_it_is_lost(database: str) -> None:
    kept = KeptConnection(database, "test looks")
    try:
        first = kept.ask(session)
        assert kept.ask(session) == first
        with connect(database, "test") as another:
            assert another.execute("SELECT pg_terminate_backend(%s, 10000)", [first]).fetchone() == (True,)
        assert kept.ask(session) != first
    finally:
        kept.close()


def test_an_error_in_the_question_is_told_and_the_session_goes_on(database: str) -> None:
    kept = KeptConnection(database, "test looks")
    try:
        first = kept.ask(session)
        with pytest.raises(psycopg.errors.UndefinedTable):
            kept.ask(lambda connection: connection.execute("SELECT * FROM nowhere"))
        assert kept.ask(session) == first
    finally:
        kept.close()


def test_a_closed_one_leaves_no_session(database: str) -> None:
    kept = KeptConnection(database, "test looks")
    first = kept.ask(session)
    kept.close()
    with connect(database, "test") as another:
        query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        assert wait_until(lambda: another.execute(query, [first]).fetchone() is None, 10)
