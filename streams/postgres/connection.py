"""Connections to PostgreSQL, made so that a stopped or cut-off process cannot stop the others.

Promises: nobody waits for a lock, and nobody holds one while idle, longer than these limits; a dead peer is noticed; a
transaction that lost a race for locks is done again, after those who hold locks and were **frozen** have lost them.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]

# A worker that is stopped inside its transaction (SIGSTOP, a frozen machine) loses its locks before others give up.
IDLE_IN_TRANSACTION_MS_MAX = 10_000
LOCK_WAIT_MS_MAX = 15_000
CONNECT_S_MAX = 10

T = TypeVar("T")

TRIES_MAX = 8
FOLDING, REACTING = "worker", "process managers"  # the purposes of those who hold rows that others wait for
# No timeout of PostgreSQL's ends a statement that waits for its client, such as a COPY of which a part has arrived.
_END_FROZEN = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = ANY(%s)
    AND state = 'active' AND wait_event_type = 'Client' AND clock_timestamp() - query_start > %s * interval '1 ms'
"""
RETRIABLE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable)
# What the database, or psycopg for it, says to a value that a column cannot hold.
REFUSALS = (psycopg.DataError, OverflowError, TypeError, ValueError)


def connect(dsn: str, purpose: str) -> Connection:
    """Return a connection that commits by itself outside of `connection.transaction()`."""
    connection = psycopg.connect(
        dsn,
        autocommit=True,
        connect_timeout=CONNECT_S_MAX,
        application_name=f"kafold {purpose}",
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=15_000,
    )
    _limit(connection)
    return connection


def connect_to_fold(dsn: str, purpose: str) -> Connection:
    """Return a connection of a worker that folds.

    Its commits do not wait for the disk. When PostgreSQL crashes it may forget the last of them, rows and checkpoint
    together, and the worker, whose connection is gone too, begins again at that checkpoint: the log has it all.
    """
    connection = connect(dsn, purpose)
    connection.execute("SET synchronous_commit = off")
    return connection


def repeated(connection: Connection, transact: Callable[[], T]) -> T:
    """Run a transaction, again where it lost a race for locks (deadlock, serialization failure, lock timeout)."""
    for _ in range(TRIES_MAX - 1):
        try:
            return transact()
        except psycopg.errors.LockNotAvailable:
            end_frozen(connection)
        except RETRIABLE:
            continue
    return transact()


def end_frozen(connection: Connection) -> None:
    """End the sessions of workers that stopped in the middle of a statement, so that their locks are free."""
    names = [f"kafold {purpose}" for purpose in (FOLDING, REACTING)]
    connection.execute(_END_FROZEN, [names, IDLE_IN_TRANSACTION_MS_MAX])


def _limit(connection: Connection) -> None:
    connection.execute(
        "SELECT set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false)",
        [str(LOCK_WAIT_MS_MAX), str(IDLE_IN_TRANSACTION_MS_MAX)],
    )
