"""The query bus: the right answers, through connections that cannot write."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, TypeVar

import psycopg
import pytest

from read_api.bus import QueryBus
from read_api.read_model import PostgresReadModel
from schemas.errors import DefinitionError, HandlerNotFound
from schemas.messages import Query
from schemas.shop.queries import GetBestCustomers, GetCustomerSummary, GetUserById, SalesByDay
from schemas.shop.rows import CustomerSummary, DailySales, UserRow
from streams.domain.shop.app import shop
from streams.kernel.query import Select, query_type

T = TypeVar("T")


class Unknown(Query[int]):
    """A query that nobody handles."""


def asked(dsn: str, ask: Callable[[QueryBus], Awaitable[T]]) -> T:
    async def run() -> T:
        async with PostgresReadModel(shop, dsn) as read_model:
            return await ask(QueryBus(shop.queries, read_model))

    return asyncio.run(run())


def test_a_query_answers_what_its_type_says(read_database: str) -> None:
    async def ask(bus: QueryBus) -> tuple[UserRow | None, CustomerSummary | None, tuple[DailySales, ...]]:
        user = await bus.ask(GetUserById(user_id="a"))
        customer = await bus.ask(GetCustomerSummary(account_id="nobody"))
        days = await bus.ask(SalesByDay(first=date(1997, 1, 2), last=date(1997, 2, 1)))
        return user, customer, days

    user, customer, days = asked(read_database, ask)
    assert user == UserRow(user_id="a", email="a@x", name="Ann", active=True)
    assert customer is None
    assert [day.total_cents for day in days] == [0, 233]


def test_the_best_customers_come_first(read_database: str) -> None:
    best = asked(read_database, lambda bus: bus.ask(GetBestCustomers(limit=1)))
    assert [customer.account_id for customer in best] == ["b"]


def test_a_query_without_a_handler_is_refused_with_what_there_is(read_database: str) -> None:
    with pytest.raises(HandlerNotFound, match="no handler for the query Unknown; registered: GetBestCustomers, GetC"):
        asked(read_database, lambda bus: bus.ask(Unknown()))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM users",
        "INSERT INTO users VALUES ('x', '', '', true)",
        "SET default_transaction_read_only = off; DELETE FROM users",
        "RESET ROLE; SET default_transaction_read_only = off; DELETE FROM users",
        "SELECT * FROM shop.users_v1",
    ],
)
def test_whatever_a_handler_says_nothing_can_be_written(read_database: str, statement: str) -> None:
    def handler(query: Unknown) -> Select[int]:
        return Select(statement, query.facts(), (), len)

    async def run() -> int:
        async with PostgresReadModel(shop, read_database) as read_model:
            return await QueryBus([handler], read_model).ask(Unknown())

    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
        asyncio.run(run())


def test_a_handler_that_answers_something_else_is_refused_when_declared() -> None:
    def wrong(query: Unknown) -> Select[str]:
        raise NotImplementedError

    def untyped(query: Any) -> Any:
        raise NotImplementedError

    with pytest.raises(DefinitionError, match="wrong must return Select"):
        query_type(wrong)
    with pytest.raises(DefinitionError, match="untyped must take one query"):
        query_type(untyped)
