"""Rows that several workers share: locked in key order, made if they are missing, never lost."""

import threading
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest

from streams.domain.shop.app import shop
from streams.domain.shop.projections import daily_sales
from streams.postgres.connection import RETRIABLE, Connection, connect
from streams.postgres.setup import prepare
from streams.postgres.tables import Table, table_of
from tests.waiting import wait_until

DAYS = [date(1997, 1, day) for day in range(1, 8)]
ROUNDS = 40


@pytest.fixture
def table(database: str) -> Table:
    prepare(database, shop)
    return table_of(shop.name, daily_sales)


def together(count: int, work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def add_one_to_all(database: str, table: Table, *, also_delete: bool) -> None:
    with connect(database, "test") as connection:
        table.stage(connection.cursor())
        for number in range(ROUNDS):
            again(lambda: add_one(connection, table))
            if also_delete:
                day = DAYS[number % len(DAYS)]
                again(partial(delete_one, connection, table, day))


def again(transaction: Callable[[], None]) -> None:
    """Do a transaction that lost a race for locks again, as the worker does."""
    while True:
        try:
            return transaction()
        except RETRIABLE:
            continue


WAITERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kafold prepare' AND wait_event_type = 'Lock'"


WAITERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kafold prepare' AND wait_event_type = 'Lock'"


def add_one(connection: Connection, table: Table) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        found, made = table.lock(cursor, reversed(DAYS))
        rows: dict[date, Any] = {**found, **{day: daily_sales.new_row(day) for day in made}}
        table.write(cursor, {day: row.but(purchases=row.purchases + 1) for day, row in rows.items()})


def delete_one(connection: Connection, table: Table, day: date) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        table.lock(cursor, [day])
        table.write(cursor, {day: None})


def test_two_workers_that_race_on_missing_rows_lose_nothing(database: str, table: Table) -> None:
    together(3, lambda: add_one_to_all(database, table, also_delete=False))
    with connect(database, "test") as connection:
        rows: dict[date, Any] = dict(table.load(connection.cursor(), DAYS))
    assert [rows[day].purchases for day in DAYS] == [3 * ROUNDS] * len(DAYS)


def test_a_row_that_is_deleted_while_another_worker_waits_for_it_is_made_again(database: str, table: Table) -> None:
    together(3, lambda: add_one_to_all(database, table, also_delete=True))
    with connect(database, "test") as connection:
        table.stage(connection.cursor())
        with connection.transaction(), connection.cursor() as cursor:
            found, made = table.lock(cursor, DAYS)
    assert len(found) + len(made) == len(DAYS)


def test_two_processes_may_prepare_at_once(database: str) -> None:
    together(4, lambda: prepare(database, shop))


def test_whoever_prepares_again_waits_for_nobody_who_reads(database: str) -> None:
    prepare(database, shop)
    with connect(database, "test") as reader, reader.transaction():
        reader.execute("SELECT FROM kafold.positions, kafold.parked_keys, shop.daily_sales")
        prepare(database, shop)
        with connect(database, "test") as other:
            other.execute("UPDATE kafold.structure SET fingerprint = 'of an older kafold'")
            waiting = threading.Thread(target=prepare, args=[database, shop])
            waiting.start()
            wait_until(lambda: other.execute(WAITERS).fetchone() == (1,), "the changes wait for the reader", 10)
        # It waits at the view, where readers begin: what is under it can still be read, so that nobody is in a circle.
        reader.execute("SELECT FROM kafold.checkpoints, kafold.projections")
    waiting.join(30)
    assert not waiting.is_alive()
    with connect(database, "test") as connection:
        assert connection.execute("SELECT length(fingerprint) FROM kafold.structure").fetchall() == [(64,)]


@pytest.mark.usefixtures("table")
def test_analysts_see_commented_views_and_no_tables(database: str) -> None:
    with connect(database, "test") as connection:
        (comment,) = connection.execute("SELECT col_description('shop.daily_sales'::regclass, 4)").fetchone() or ("",)
        assert comment == "sold less refunded on that day, United States cents"
        connection.execute("SET ROLE shop_reader")
        assert connection.execute("SELECT * FROM shop.daily_sales").fetchall() == []
        for forbidden in ("SELECT * FROM shop.daily_sales_v1", "DELETE FROM shop.daily_sales"):
            with pytest.raises(Exception, match="permission denied"):
                connection.execute(forbidden)
