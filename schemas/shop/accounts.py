"""The sample application's accounts: a customer's purchases. Money is whole US cents; zero is a real amount."""

from datetime import date
from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import Field

from schemas.messages import AggregateId, Command, Event

AccountId: TypeAlias = Annotated[str, AggregateId]


class AccountProblem(StrEnum):
    """Why an account's command may be refused."""

    ALREADY_OPEN = "already-open"
    NOT_OPEN = "not-open"
    NEGATIVE_AMOUNT = "negative-amount"
    NO_QUANTITY = "no-quantity"
    PURCHASE_EXISTS = "purchase-exists"
    NO_SUCH_PURCHASE = "no-such-purchase"
    REFUND_EXCEEDS_PURCHASE = "refund-exceeds-purchase"


class OpenAccount(Command[str, AccountProblem]):
    """Open a customer's account. Answers the account's id."""

    account_id: AccountId = Field(min_length=1)


class RecordPurchase(Command[None, AccountProblem]):
    """Record that a customer bought something."""

    account_id: AccountId
    purchase_id: str = Field(min_length=1)
    day: date
    quantity: int
    amount_cents: int


class RefundPurchase(Command[int, AccountProblem]):
    """Give back all or part of a purchase's money. Answers what is left of the purchase, in cents."""

    account_id: AccountId
    purchase_id: str
    day: date
    amount_cents: int


class AccountOpened(Event):
    """A customer's account was opened."""

    account_id: AccountId


class PurchaseRecorded(Event):
    """A customer bought something."""

    account_id: AccountId
    purchase_id: str
    day: date
    quantity: int
    amount_cents: int


class PurchaseRefunded(Event):
    """A customer was given money back."""

    account_id: AccountId
    purchase_id: str
    day: date
    amount_cents: int


AccountCommand: TypeAlias = OpenAccount | RecordPurchase | RefundPurchase
AccountEvent: TypeAlias = AccountOpened | PurchaseRecorded | PurchaseRefunded
