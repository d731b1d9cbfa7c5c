"""The peer of `commands` and `load`: the PyPI library `eventsourcing` on PostgreSQL, doing the same to an account."""

import time
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

COMMANDS = 2_000
ACCOUNTS = 200


class Account(Aggregate):
    """An account with its purchases."""

    @event("Opened")
    def __init__(self) -> None:
        self.left_cents: dict[str, int] = {}

    @event("PurchaseRecorded")
    def record(self, purchase_id: str, day: str, quantity: int, amount_cents: int) -> None:
        """Record one purchase."""
        self.left_cents[purchase_id] = amount_cents


def application(dsn: str) -> Application[UUID]:
    """Return the library's application on this database."""
    parts = conninfo_to_dict(dsn)
    return Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(parts["dbname"]),
            "POSTGRES_HOST": str(parts["host"]),
            "POSTGRES_PORT": str(parts["port"]),
            "POSTGRES_USER": str(parts["user"]),
            "POSTGRES_PASSWORD": str(parts.get("password", "")),
        }
    )


def run_eventsourcing(dsn: str) -> float:
    """Load, decide and save, a command at a time, as the library does it; return commands per second."""
    app = application(dsn)
    accounts = [Account() for _ in range(ACCOUNTS)]
    app.save(*accounts)
    started = time.perf_counter()
    for number in range(COMMANDS):
        account: Account = app.repository.get(accounts[number % ACCOUNTS].id)
        account.record(f"{number}-{uuid4()}", "1997-01-01", 1, number)
        app.save(account)
    rate = COMMANDS / (time.perf_counter() - started)
    app.close()
    return rate
