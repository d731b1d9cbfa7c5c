"""Projections over several partitions must give the same row in any interleaving; what made a row can be told."""

import random
from datetime import date
from typing import Any

from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountOpened, PurchaseRecorded
from schemas.shop.rows import DailySales
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary, daily_sales
from streams.kernel.commuting import Fact, find_clash
from streams.kernel.explaining import Located, explain
from streams.kernel.projection import Projection

DAY = date(1997, 1, 1)


def facts(account_id: str, cents: list[int]) -> list[Fact]:
    return [
        (
            PurchaseRecorded(account_id=account_id, purchase_id=str(n), day=DAY, quantity=1, amount_cents=each),
            EventMetadata(f"{account_id}{n}-1", f"{account_id}{n}", "", "", n + 2, 0),
        )
        for n, each in enumerate(cents)
    ]


def last_sale(row: DailySales, event: PurchaseRecorded, _meta: EventMetadata) -> DailySales:
    return row.but(total_cents=event.amount_cents)


def day_of(event: PurchaseRecorded) -> date:
    return event.day


def test_sums_commute() -> None:
    partitions = {0: facts("a", [1, 2, 3]), 1: facts("b", [4, 5])}
    assert find_clash(daily_sales, partitions, random.Random(1).randrange) is None


def test_the_last_one_wins_does_not_commute_and_the_pair_is_named() -> None:
    projection: Projection[Any, Any] = Projection("last", 1, DailySales, [account], last_sale, key=day_of)
    clash = find_clash(projection, {0: facts("a", [1]), 1: facts("b", [2])}, random.Random(1).randrange)
    assert clash is not None
    assert {clash.in_this_order.total_cents, clash.the_other_way.total_cents} == {1, 2}
    assert str(clash).startswith("row 1997-01-01: PurchaseRecorded(")


def test_a_row_is_explained_by_its_events() -> None:
    opened = Located("t", 0, 5, AccountOpened(account_id="a"), EventMetadata("o-1", "o", "", "", 1, 0))
    bought = [Located("t", 0, 6 + n, *fact) for n, fact in enumerate(facts("a", [7]))]
    first, second = explain(customer_summary, "a", [opened, *bought])
    assert (first.event, first.changed) == (
        "AccountOpened",
        {"account_id": (None, "a"), "purchases": (None, 0), "quantity": (None, 0), "total_cents": (None, 0)},
    )
    assert second.changed["total_cents"] == (0, 7)
    assert (second.offset, second.command_id) == (6, "a0")
