"""A row then, pure: in pieces as at once, parked where it cannot be folded, and told apart from what never was."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import TruncatedMessage
from schemas.metadata import EventMetadata
from schemas.position import Position
from schemas.shop.accounts import AccountEvent, AccountOpened, PurchaseRecorded, PurchaseRefunded
from schemas.shop.rows import CustomerSummary
from streams.domain.shop.projections import Custom, customer_summary, project_customer
from streams.kernel.folding import Envelope, Step, plan
from streams.kernel.row_then import RowFold, Was

DAY = date(1997, 1, 1)


def project(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary | None:
    """Delete at a refund, and raise at a purchase of 13 cents."""
    if isinstance(event, PurchaseRecorded) and event.amount_cents == 13:
        raise ValueError("unlucky")
    return None if isinstance(event, PurchaseRefunded) else project_customer(row, event, meta)


PICKY = replace(customer_summary, project=project)


def bought(cents: int, account_id: str = "a") -> AccountEvent:
    return PurchaseRecorded(account_id=account_id, purchase_id="p", day=DAY, quantity=1, amount_cents=cents)


REFUNDED = PurchaseRefunded(account_id="a", purchase_id="p", day=DAY, amount_cents=1)
OPENED = AccountOpened(account_id="a")


def steps(*events: AccountEvent | None) -> list[Step]:
    """The steps of some events of `a`; None: a record that is none."""
    envelopes = [
        Envelope(offset, b"a", b"", event, EventMetadata("", "", "", "", offset + 1, 0))
        if event is not None
        else Envelope(offset, b"a", b"rubbish", None, None, TruncatedMessage("no event"))
        for offset, event in enumerate(events)
    ]
    return plan(PICKY, envelopes)


@pytest.mark.parametrize(
    ("events", "later", "was", "folded", "waiting"),
    [
        ([], False, Was.NEVER, 0, 0),
        ([], True, Was.NOT_YET, 0, 0),
        ([bought(1, "b")], False, Was.NEVER, 0, 0),
        ([OPENED, bought(7)], False, Was.THERE, 2, 0),
        ([OPENED, REFUNDED], True, Was.DELETED, 2, 0),
        ([OPENED, REFUNDED, bought(7)], False, Was.THERE, 3, 0),
        ([bought(13), bought(7)], False, Was.NOT_YET, 0, 2),
        ([OPENED, bought(13), REFUNDED], False, Was.THERE, 1, 2),
        ([OPENED, None, bought(7)], False, Was.THERE, 1, 1),
        ([OPENED, REFUNDED, bought(13)], False, Was.DELETED, 2, 1),
    ],
)
def test_how_a_row_was(events: list[AccountEvent | None], later: bool, was: Was, folded: int, waiting: int) -> None:
    made = RowFold(PICKY, "a")
    made.take(steps(*events))
    then = made.then(Position(), came_later=later)
    assert (then.was, then.events, then.waiting) == (was, folded, waiting)
    assert (then.row is not None) == (was is Was.THERE)


def test_a_row_that_was_deleted_begins_anew() -> None:
    made = RowFold(PICKY, "a")
    made.take(steps(OPENED, bought(100), REFUNDED, bought(7)))
    assert made.row.total_cents == 7


@given(st.lists(st.sampled_from([OPENED, bought(7), bought(13), REFUNDED, bought(5, "b"), None])), st.integers(0, 20))
def test_pieces_make_what_the_whole_makes(events: list[AccountEvent | None], cut: int) -> None:
    whole, pieces, all_steps = RowFold(PICKY, "a"), RowFold(PICKY, "a"), steps(*events)
    whole.take(all_steps)
    for piece in (all_steps[:cut], all_steps[cut:]):
        pieces.take(piece)
    assert pieces.then(Position(), came_later=False) == whole.then(Position(), came_later=False)
