"""Applications of the replay tests: the shop with another version of `customer_summary` beside the first.

Each is a target of `kafold -A tests.replay.apps:NAME`. A variable gives the application's name, as other processes have
to know it.
"""

import os
from dataclasses import replace

from schemas.metadata import EventMetadata
from schemas.rows import Row
from schemas.shop.accounts import PurchaseRecorded, PurchaseRefunded
from schemas.shop.rows import CustomerSummary
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import Custom, Sale, customer_summary, daily_sales, project_customer
from streams.kernel.application import AnyProjection, Application
from streams.kernel.projection import Projection
from streams.kernel.row_per_event import RowPerEvent

NAME = "REPLAY_TEST_NAME"  # a variable; one that began with KAFOLD_ would be taken for a setting
POISON = "poison"  # the purchase that a bad projection does not take


class Spending(Row):
    """What a customer spends: other columns than CustomerSummary has, in another order."""

    account_id: str
    refunds: int = 0
    total_cents: int = 0
    largest_cents: int | None = None
    purchases: int = 0


class PurchaseRow(Row):
    """One purchase, by account and number."""

    purchase_id: str
    account_id: str = ""
    quantity: int = 0
    amount_cents: int = 0


def project_spending(row: Spending, event: Sale, meta: EventMetadata) -> Spending:
    """Fold a sale into another shape."""
    if isinstance(event, PurchaseRefunded):
        return row.but(refunds=row.refunds + 1, total_cents=row.total_cents - event.amount_cents)
    return row.but(
        total_cents=row.total_cents + event.amount_cents,
        largest_cents=max(row.largest_cents or 0, event.amount_cents),
        purchases=row.purchases + 1,
    )


def project_wrongly(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary:
    """Fold, with a bug: a refund is added."""
    if isinstance(event, PurchaseRefunded):
        return row.but(total_cents=row.total_cents + event.amount_cents)
    return project_customer(row, event, meta)


def project_with_fear(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary:
    """Fold, and raise at one purchase."""
    if isinstance(event, PurchaseRecorded) and event.purchase_id == POISON:
        raise ValueError("poison is not a purchase")
    return project_customer(row, event, meta)


def project_too_much(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary:
    """Fold, and make a number of one account that no column holds."""
    made = project_customer(row, event, meta)
    return made.but(total_cents=2**70) if event.account_id == "acc-00007" else made


def project_purchase(row: PurchaseRow, event: PurchaseRecorded, meta: EventMetadata) -> PurchaseRow:
    """Keep one purchase."""
    return row.but(account_id=event.account_id, quantity=event.quantity, amount_cents=event.amount_cents)


def _purchase_id(event: PurchaseRecorded) -> str:
    return f"{event.account_id}/{event.purchase_id}"


same_summary = replace(customer_summary, version=2)
spending = Projection("customer_summary", version=2, row=Spending, of=[account], project=project_spending)
wrong_summary = replace(customer_summary, version=2, project=project_wrongly)
fearful_summary = replace(customer_summary, version=2, project=project_with_fear)
unwritable_summary = replace(customer_summary, version=2, project=project_too_much)
same_days = replace(daily_sales, version=2)
purchases = Projection(
    "purchases", version=1, row=PurchaseRow, of=[account], project=project_purchase, key=_purchase_id
)
per_purchase = RowPerEvent("per_purchase", version=1, row=PurchaseRow, of=[account], event=PurchaseRecorded)
per_purchase_v2 = replace(per_purchase, version=2)


def shop_with(*more: AnyProjection, name: str | None = None) -> Application:
    """Return the shop with more projections."""
    return replace(shop, name=name or os.environ.get(NAME, shop.name), projections=[*shop.projections, *more])


same = shop_with(same_summary, same_days)
wider = shop_with(spending)
wrong = shop_with(wrong_summary)
fearful = shop_with(fearful_summary)
unwritable = shop_with(unwritable_summary)
plain = shop_with()
before_per_purchase = shop_with(per_purchase)
with_per_purchase = shop_with(per_purchase, per_purchase_v2)
