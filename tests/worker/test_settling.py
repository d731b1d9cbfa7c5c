"""Settling a parked key does not stop its worker: not when it loses a race for locks, not when the database refuses."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import pytest

from infra.waiting import wait_until
from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountOpened, PurchaseRecorded
from schemas.shop.rows import CustomerSummary
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import Custom, customer_summary, daily_sales
from streams.kernel.folding import ParkedKeys
from streams.postgres.checkpoints import take
from streams.postgres.connection import Connection, connect
from streams.postgres.parking import Request, parked, request
from streams.postgres.setup import prepare
from streams.worker.applying import Applier
from streams.worker.partition import Partition
from streams.worker.settling import settle
from streams.worker.source import Source, sources
from tests.schemas.ids import MemoryIds

DAY = date(1997, 1, 1)
TOPIC = shop.topics(account).events
BEYOND_BIGINT = 2**63


class Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes


class Settled(NamedTuple):
    """A worker's share of one partition, without Faust and Kafka."""

    dsn: str
    connection: Connection
    sources: dict[str, Source]
    partition: Partition
    quantity: list[int | None]  # what `project` says of a purchase; None: it raises

    def settle(self) -> None:
        settle(self.connection, self.sources, self.partition)

    def parked(self) -> list[tuple[str, str | None, str | None]]:
        with connect(self.dsn, "test") as connection:
            return [(each.key, each.error_type, each.request) for each in parked(connection, shop.name)]

    def purchases(self) -> int:
        with connect(self.dsn, "test") as connection:
            [(count,)] = connection.execute("SELECT purchases FROM shop.customer_summary").fetchall()
            return int(count)

    def ask(self, what: Request) -> None:
        with connect(self.dsn, "test") as connection:
            assert request(connection, shop.name, customer_summary.name, what)


@pytest.fixture
def settled(database: str) -> Iterator[Settled]:
    """A partition whose customer `a` is parked, with one event behind the one that raised."""
    said: list[int | None] = [None]

    def project(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary | None:
        if isinstance(event, PurchaseRecorded):
            if said[0] is None:
                raise ValueError("not yet")
            return row.but(purchases=row.purchases + 1, quantity=said[0])
        return customer_summary.project(row, event, meta)

    application = replace(shop, projections=[replace(customer_summary, project=project), daily_sales])
    prepare(database, application)
    ids = MemoryIds()
    reads = sources(application, ids)
    encode = application.event_codec(account, ids).encode
    events = [AccountOpened(account_id="a"), *(purchase(str(number)) for number in range(2))]
    records = [
        Record(number, b"a", encode(event, EventMetadata(f"c{number}-1", f"c{number}", "", "", number + 1, 0)))
        for number, event in enumerate(events)
    ]
    with connect(database, "test worker") as connection:
        with connection.transaction(), connection.cursor() as cursor:
            starts = take(cursor, shop.name, TOPIC, 0, "uuid", reads[TOPIC].readers)
        partition = Partition(TOPIC, 0, "uuid", starts, {reader: ParkedKeys() for reader in starts})
        applier = Applier(connection, reads)
        applier.apply(partition, records)
        assert [error for _, error, _ in Settled(database, connection, reads, partition, said).parked()] == [
            "ValueError",
            None,
        ]
        yield Settled(database, connection, reads, partition, said)


def purchase(name: str) -> PurchaseRecorded:
    return PurchaseRecorded(account_id="a", purchase_id=name, day=DAY, quantity=1, amount_cents=100)


def test_a_settling_that_loses_a_race_for_locks_is_done_again(settled: Settled) -> None:
    settled.quantity[0] = 1
    settled.ask(Request.RETRY)
    with connect(settled.dsn, "rival") as rival:
        # The rival waits for ever, so that the deadlock is found by the one who settles, and ends its transaction.
        rival.execute("SET deadlock_timeout = '1min'")
        thread = threading.Thread(target=settled.settle)
        with rival.transaction():
            rival.execute("SELECT FROM shop.customer_summary_v1 FOR UPDATE")
            thread.start()
            blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            with connect(settled.dsn, "test") as watching:
                assert wait_until(lambda: watching.execute(blocked).fetchone() == (1,), 10)
            rival.execute("SELECT FROM kafold.checkpoints FOR UPDATE")
        thread.join()
    assert settled.parked() == []
    assert settled.purchases() == 2


def test_a_row_that_the_database_refuses_leaves_its_key_parked_and_says_why(settled: Settled) -> None:
    settled.quantity[0] = BEYOND_BIGINT
    settled.ask(Request.RETRY)
    settled.settle()
    (_, error, requested), behind = settled.parked()
    assert (error, requested) == ("OverflowError", None)
    assert behind == ("a", None, None)
    assert settled.purchases() == 0
    settled.quantity[0] = 1
    settled.ask(Request.RETRY)
    settled.settle()
    assert settled.parked() == []
    assert settled.purchases() == 2
