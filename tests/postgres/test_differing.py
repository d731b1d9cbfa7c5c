"""A row model in code against the table in the database: what differs is named, column by column."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from schemas.rows import Row
from streams.domain.shop.app import shop
from streams.domain.shop.projections import daily_sales
from streams.kernel.projection import Projection
from streams.postgres.connection import Connection, connect
from streams.postgres.differing import ORDER, Difference, compare, differences
from streams.postgres.setup import prepare


class Changed(Row):
    """DailySales with one column of another type, one more, and one less."""

    day: date
    purchases: float = 0
    quantity: int | None = None
    refunds: int = 0


@pytest.fixture
def prepared(database: str) -> "Connection":
    prepare(database, shop)
    return connect(database, "test")


def test_what_was_just_made_does_not_differ(prepared: Connection) -> None:
    with prepared:
        assert [differences(prepared, shop.name, each) for each in shop.projections] == [[], [], []]


def test_each_changed_column_is_named(prepared: Connection) -> None:
    with prepared:
        changed: Projection[Any, Any] = daily_sales
        assert differences(prepared, shop.name, replace(changed, row=Changed)) == [
            Difference("purchases", "double precision NOT NULL", "bigint NOT NULL"),
            Difference("quantity", "bigint", "bigint NOT NULL"),
            Difference("refunds", "bigint NOT NULL", None),
            Difference("total_cents", None, "bigint NOT NULL"),
        ]
        assert differences(prepared, shop.name, replace(daily_sales, version=2)) is None
        # Nothing is left behind.
        assert differences(prepared, shop.name, daily_sales) == []


def test_the_order_of_columns_counts_because_rows_are_copied_in_it() -> None:
    assert compare({"a": "int", "b": "int"}, {"b": "int", "a": "int"}) == [Difference(ORDER, "a, b", "b, a")]
