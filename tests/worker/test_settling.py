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
from streams.domain.shop.app import shop
from streams.domain.shop.projections import Custom, customer_summary, daily_sales
from streams.postgres.connection import connect
from streams.postgres.parking import Request, parked, request
from streams.worker.settling import settle
from tests.worker.owner import Owner, owner_of, recorded, world_without_kafka

DAY = date(1997, 1, 1)
BEYOND_BIGINT = 2**63


class Settled(NamedTuple):
    """A worker's share of one partition, without Faust and Kafka."""

    dsn: str
    owner: Owner
    quantity: list[int | None]  # what `project` says of a purchase; None: it raises

    def settle(self) -> None:
        settle(self.owner.connection, self.owner.sources, self.owner.partition)

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
    world = world_without_kafka(application, database)
    with owner_of(world, 0) as owner:
        owner.apply(recorded(world, 0, [AccountOpened(account_id="a"), purchase("0"), purchase("1")]))
        made = Settled(database, owner, said)
        assert [error for _, error, _ in made.parked()] == ["ValueError", None]
        yield made


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
