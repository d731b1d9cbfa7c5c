"""The peer of `commands` and `load`: the PyPI library `eventsourcing` on PostgreSQL, doing the same to an account."""

import time
from datetime import date
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import JSONTranscoder, Transcoding
from psycopg import connect, sql
from psycopg.conninfo import conninfo_to_dict

COMMANDS = 2_000
ACCOUNTS = 200
EVENTS_EACH = 100


class Account(Aggregate):
    """An account with its purchases."""

    @event("Opened")
    def __init__(self) -> None:
        self.left_cents: dict[str, int] = {}

    @event("PurchaseRecorded")
    def record(self, purchase_id: str, day: str, quantity: int, amount_cents: int) -> None:
        """Record one purchase."""
        self.left_cents[purchase_id] = amount_cents


def environment(dsn: str) -> dict[str, str]:
    """Return the library's settings for this database."""
    parts = conninfo_to_dict(dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts["host"]),
        "POSTGRES_PORT": str(parts["port"]),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": str(parts.get("password", "")),
    }


def run_eventsourcing(dsn: str) -> float:
    """Load, decide and save, a command at a time, as the library does it; return commands per second."""
    app = Application[UUID](env=environment(dsn))
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


class DayAsText(Transcoding):
    """How a date is stored, the way that the library's documentation shows."""

    type = date
    name = "date"

    def encode(self, obj: date) -> str:
        """Return the date as text."""
        return obj.isoformat()

    def decode(self, data: str) -> date:
        """Return the date in a text."""
        return date.fromisoformat(data)


class Ledger(Aggregate):
    """An account whose events say what kafold's say, metadata included, in the same types."""

    @event("Opened")
    def __init__(self, command_id: str, correlation_id: str, causation_id: str) -> None:
        self.left_cents: dict[str, int] = {}

    @event("PurchaseRecorded")
    def record(
        self,
        command_id: str,
        correlation_id: str,
        causation_id: str,
        purchase_id: str,
        day: date,
        quantity: int,
        amount_cents: int,
    ) -> None:
        """Record one purchase."""
        self.left_cents[purchase_id] = amount_cents


class LedgerApplication(Application[UUID]):
    """The library's application, which can store dates."""

    def register_transcodings(self, transcoder: JSONTranscoder) -> None:
        """Add dates."""
        super().register_transcodings(transcoder)
        transcoder.register(DayAsText())


class FilledPeer:
    """The library with so many accounts of 100 events each, its own stored events put in by COPY.

    They lie as they come in life, every account's next event after every other's.
    """

    def __init__(self, dsn: str, accounts: int) -> None:
        """Fill it."""
        self._app = LedgerApplication(env=environment(dsn))
        made = str(uuid4())
        ids = made, made, made
        account = Ledger(*ids)
        for number in range(1, EVENTS_EACH):
            account.record(*ids, f"{number}", date(1997, 1, 1), 1, number)
        stored = [self._app.mapper.to_stored_event(each) for each in account.collect_events()]
        self._ids = {f"a{number:07}": uuid4() for number in range(accounts)}
        self.keys = list(self._ids)
        table = sql.Identifier("public", "ledgerapplication_events")
        columns = sql.SQL("originator_id, originator_version, topic, state")
        copying = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(table, columns)
        with connect(dsn) as connection, connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.set_types(["uuid", "bigint", "text", "bytea"])
            for each in stored:
                for account_id in self._ids.values():
                    copy.write_row((account_id, each.originator_version, each.topic, each.state))
        with connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(table))

    def load(self, key: str) -> list[object]:
        """Return an account's typed events."""
        return list(self._app.events.get(self._ids[key]))

    def close(self) -> None:
        """Close the connections."""
        self._app.close()
