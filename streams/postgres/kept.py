"""A kept connection: one for short questions that are asked again and again, such as the worker's looks every second.

Promises: it is opened at the first question; one that was lost since the last question is nobody's trouble.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

import psycopg

from streams.postgres.connection import Connection, connect

T = TypeVar("T")


class KeptConnection:
    """It may be shared between threads, which then wait for each other."""

    def __init__(self, dsn: str, purpose: str) -> None:
        """Open nothing yet."""
        self._dsn, self._purpose = dsn, purpose
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Return the answer to a question, which only reads: it is asked twice when the connection was lost.

        Raises:
            psycopg.Error: the database cannot be used.
        """
        with self._lock:
            if self._connection is not None:
                try:
                    return question(self._connection)
                except psycopg.OperationalError:
                    self._let_go()
            self._connection = connect(self._dsn, self._purpose)
            return question(self._connection)

    def close(self) -> None:
        """Close it; another question would open it again."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
