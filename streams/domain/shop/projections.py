"""The sample application's read models: users, each customer's purchases, and each day's sales."""

from datetime import date
from typing import TypeAlias, assert_never

from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountOpened, PurchaseRecorded, PurchaseRefunded
from schemas.shop.rows import CustomerSummary, DailySales, UserRow
from schemas.shop.users import EmailChanged, UserCreated, UserDeactivated, UserEvent
from streams.domain.shop.accounts import account
from streams.domain.shop.users import user
from streams.kernel.projection import Projection

Sale: TypeAlias = PurchaseRecorded | PurchaseRefunded
Custom: TypeAlias = AccountOpened | Sale


def project_user(row: UserRow, event: UserEvent, meta: EventMetadata) -> UserRow:
    """Fold one event into a user's row."""
    match event:
        case UserCreated(email=email, name=name):
            return row.but(email=email, name=name, active=True)
        case EmailChanged(email=email):
            return row.but(email=email)
        case UserDeactivated():
            return row.but(active=False)
        case _:
            assert_never(event)


def project_customer(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary:
    """Fold one event into a customer's row."""
    match event:
        case AccountOpened():
            return row
        case PurchaseRecorded(day=day, quantity=quantity, amount_cents=cents):
            return row.but(
                first_purchase=min(row.first_purchase or day, day),
                last_purchase=max(row.last_purchase or day, day),
                purchases=row.purchases + 1,
                quantity=row.quantity + quantity,
                total_cents=row.total_cents + cents,
            )
        case PurchaseRefunded(amount_cents=cents):
            return row.but(total_cents=row.total_cents - cents)
        case _:
            assert_never(event)


def project_day(row: DailySales, event: Sale, meta: EventMetadata) -> DailySales:
    """Fold one sale or refund into its day's row. Sums commute, so the partitions' order does not matter."""
    match event:
        case PurchaseRecorded(quantity=quantity, amount_cents=cents):
            return row.but(
                purchases=row.purchases + 1, quantity=row.quantity + quantity, total_cents=row.total_cents + cents
            )
        case PurchaseRefunded(amount_cents=cents):
            return row.but(total_cents=row.total_cents - cents)
        case _:
            assert_never(event)


def _day(event: Sale) -> date:
    return event.day


users = Projection("users", version=1, row=UserRow, of=[user], project=project_user)
customer_summary = Projection(
    "customer_summary", version=1, row=CustomerSummary, of=[account], project=project_customer
)
daily_sales = Projection("daily_sales", version=1, row=DailySales, of=[account], project=project_day, key=_day)
