"""Bulk folding, pure: one pass and two, whole and in pieces, with and without records that cannot be taken."""

from datetime import date
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import event_codec
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountOpened, PurchaseRecorded
from schemas.shop.rows import CustomerSummary
from streams.domain.shop.projections import Custom, customer_summary, daily_sales, project_customer
from streams.kernel.bulk import BulkFold, BulkRows, Refusal
from streams.kernel.projection import Projection, Row
from streams.kernel.row_per_event import RowPerEvent
from tests.schemas.ids import MemoryIds

TOPIC = "shop.account.events"
TYPES: list[type[Event]] = [AccountOpened, PurchaseRecorded]
CODEC = event_codec(TOPIC, "shop.account", TYPES, MemoryIds())
POISON = 13  # cents


class Record(NamedTuple):
    """What bulk folding knows of a Kafka message."""

    at: int
    message_key: bytes
    data: bytes | None

    def value(self) -> bytes | None:
        return self.data

    def key(self) -> bytes:
        return self.message_key

    def offset(self) -> int:
        return self.at


class PurchaseRow(Row):
    purchase_id: str
    account_id: str = ""
    day: date | None = None
    amount_cents: int = 0


def by_hand(row: PurchaseRow, event: PurchaseRecorded, meta: EventMetadata) -> PurchaseRow:
    return row.but(account_id=event.account_id, day=event.day, amount_cents=event.amount_cents)


def with_fear(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary:
    if isinstance(event, PurchaseRecorded) and event.amount_cents == POISON:
        raise ValueError("poison")
    return project_customer(row, event, meta)


def with_nothing(row: CustomerSummary, event: Custom, meta: EventMetadata) -> Any:
    return "no row" if isinstance(event, PurchaseRecorded) and event.amount_cents == POISON else row.but(purchases=1)


def closing(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary | None:
    return None if isinstance(event, PurchaseRecorded) and event.amount_cents == POISON else row.but(purchases=1)


ACCOUNT = customer_summary.of
PURCHASES = RowPerEvent("purchases", version=1, row=PurchaseRow, of=ACCOUNT, event=PurchaseRecorded)
PURCHASES_BY_HAND = Projection(
    "purchases", version=1, row=PurchaseRow, of=ACCOUNT, project=by_hand, key=lambda event: event.purchase_id
)
PROJECTIONS = [
    customer_summary,
    daily_sales,
    PURCHASES_BY_HAND,
    *(
        Projection("customer_summary", version=2, row=CustomerSummary, of=ACCOUNT, project=project)
        for project in (with_fear, with_nothing, closing)
    ),
]
CHOICES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=30)


def records(choices: list[tuple[int, int]]) -> list[Record]:
    """Openings, purchases (few ids, so that they come again), and now and then something that is no event."""
    made = []
    for offset, (account, what) in enumerate(choices):
        key = f"a{account}"
        meta = EventMetadata(f"{offset}-1", str(offset), "", "", offset + 1, 0)
        purchase = PurchaseRecorded(
            account_id=key, purchase_id=f"p{what % 7}", day=date(1997, 1, 1 + what), quantity=1, amount_cents=what
        )
        event = AccountOpened(account_id=key) if what < 3 else purchase
        data = CODEC.encode(event, meta)
        made.append(Record(offset, key.encode(), {18: None, 19: b"no event", 20: data[:-1]}.get(what, data)))
    return made


def fold_of(projection: Projection[Any, Any]) -> BulkFold:
    if isinstance(projection, RowPerEvent):
        fields = tuple(projection.row.model_fields)
        resolve = partial(CODEC.resolve_fields, kind=projection.event, fields=fields)
        return BulkRows(projection, {TOPIC: resolve})
    return BulkFold(projection, {TOPIC: CODEC.resolve})


def told(refusals: list[Refusal]) -> list[tuple[Any, ...]]:
    return [
        (each.problem.key, each.problem.by_message, each.problem.envelope.offset, type(each.problem.error), each.row)
        for each in refusals
    ]


def in_one_pass(fold: BulkFold, batches: list[list[Record]]) -> list[tuple[Any, ...]]:
    refusals: list[Refusal] = []
    for batch in batches:
        fold.take(TOPIC, batch, refusals.append)
    return told(refusals)


def in_two_passes(fold: BulkFold, batches: list[list[Record]]) -> list[tuple[Any, ...]]:
    refusals: list[Refusal] = []
    for batch in batches:
        fold.fold(fold.decode(TOPIC, batch), refusals.append)
    return told(refusals)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda each: each.project.__name__)
@given(choices=CHOICES, cut=st.integers(0, 30))
def test_one_pass_does_what_two_passes_do(
    projection: Projection[Any, Any], choices: list[tuple[int, int]], cut: int
) -> None:
    whole = records(choices)
    one, two = fold_of(projection), fold_of(projection)
    assert in_one_pass(one, [whole[:cut], whole[cut:]]) == in_two_passes(two, [whole])
    assert one.rows == two.rows
    assert one.parked == two.parked
    assert one.take_changed() == two.take_changed()


@given(choices=CHOICES, cut=st.integers(0, 30))
def test_a_row_per_event_is_what_project_makes_of_its_event(choices: list[tuple[int, int]], cut: int) -> None:
    whole = records(choices)
    straight, by_hand = fold_of(PURCHASES), fold_of(PURCHASES_BY_HAND)
    kept: dict[Any, Any] = {}
    refusals = []
    for batch in (whole[:cut], whole[cut:]):
        refusals += in_one_pass(straight, [batch])
        rows, added = straight.take_changed()
        assert added == rows.keys()
        kept |= rows
    assert [each[:4] for each in refusals] == [each[:4] for each in in_one_pass(by_hand, [whole])]
    assert kept == {key: tuple(row.__dict__.values()) for key, row in by_hand.rows.items()}
    assert straight.rows == {}, "what was taken is not kept"
