"""Rows that are written: a few with one statement, many with COPY, and both leave the same."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import Field

from schemas.metadata import EventMetadata
from schemas.rows import Row
from schemas.shop.accounts import PurchaseRecorded
from streams.domain.shop.accounts import account
from streams.kernel.projection import Projection
from streams.postgres import tables
from streams.postgres.connection import REFUSALS, connect
from streams.postgres.setup import define_table
from streams.postgres.tables import FEW_ROWS_MAX, Table, table_of

COPIED = -1  # no number of rows is so few


class Sampled(Row):
    """A column of each kind."""

    name: str
    number: int = 0
    share: float | None = None
    is_open: bool = True
    raw: bytes = b""
    day: date | None = None
    item: UUID | None = None
    price: Decimal = Field(default=Decimal(0), max_digits=9, decimal_places=2)
    tags: tuple[str, ...] = ()


class Plain(Row):
    """Nothing but columns that an array can hold."""

    name: str
    number: int = 0
    share: float | None = None
    day: date | None = None


def nothing(row: Any, _event: PurchaseRecorded, _meta: EventMetadata) -> Any:
    return row


def table_for(dsn: str, row: type[Row]) -> Table:
    table = table_of("public", Projection(row.__name__.lower(), version=1, row=row, of=[account], project=nothing))
    with connect(dsn, "test") as connection:
        connection.execute(define_table(table.name, table.shape))
    return table


def write(dsn: str, table: Table, rows: list[Row]) -> list[Row]:
    """Write the rows over what is there, and return what is there then."""
    by_key = {row.__dict__["name"]: row for row in rows}
    with connect(dsn, "test") as connection, connection.transaction(), connection.cursor() as cursor:
        table.stage(cursor)
        table.write(cursor, by_key)
        return list(table.load(cursor, by_key).values())


@pytest.fixture(params=[FEW_ROWS_MAX, COPIED], ids=["few", "copied"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    found: int = request.param
    monkeypatch.setattr(tables, "FEW_ROWS_MAX", found)
    return found


@pytest.mark.usefixtures("way")
def test_what_is_written_is_read_back(database: str) -> None:
    plain = table_for(database, Plain)
    rows: list[Row] = [
        Plain(name="a", number=2**62, share=0.1, day=date(1997, 1, 1)),
        Plain(name="b", number=-1),
        Plain(name="ü'\"{},\\", share=float("inf"), number=300),
    ]
    assert write(database, plain, rows) == rows
    again = [row.but(number=7, share=None) for row in rows]
    assert write(database, plain, again) == again


@pytest.mark.usefixtures("way")
def test_every_kind_of_column_is_read_back(database: str) -> None:
    table = table_for(database, Sampled)
    rows: list[Row] = [
        Sampled(name="a", number=1, share=0.5, raw=b"\0\xff", day=date(1, 1, 1), item=UUID(int=7), tags=("x", "y")),
        Sampled(name="b", is_open=False, price=Decimal("9999999.99")),
    ]
    assert write(database, table, rows) == rows


@pytest.mark.usefixtures("way")
def test_a_whole_number_fits_a_fraction_s_column(database: str) -> None:
    plain = table_for(database, Plain)
    [found] = write(database, plain, [Plain(name="a").but(share=3, number=True)])
    assert found == Plain(name="a", share=3.0, number=1)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"number": 2**63}, OverflowError),
        ({"name": "a\0"}, psycopg.DataError),
        ({"name": "\ud800"}, UnicodeEncodeError),
        ({"number": "many"}, TypeError),
    ],
)
def test_what_a_column_does_not_take_is_a_refusal_of_the_same_kind_both_ways(
    database: str, value: dict[str, Any], kind: type[Exception]
) -> None:
    plain = table_for(database, Plain)
    assert issubclass(kind, REFUSALS)
    with pytest.raises(kind):
        write(database, plain, [Plain(name="b"), Plain(name="c").but(**value)])
