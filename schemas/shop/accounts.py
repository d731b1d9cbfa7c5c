"""The sample application's accounts: purchases and store credit. Money is whole US cents; zero is a real amount."""

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
    CLOSED = "closed"
    NOT_ENOUGH_CREDIT = "not-enough-credit"
    TRANSFER_EXISTS = "transfer-exists"
    NO_SUCH_TRANSFER = "no-such-transfer"
    SAME_ACCOUNT = "same-account"


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


class CloseAccount(Command[None, AccountProblem]):
    """Close an account for good; its credit stays. To repeat it changes nothing."""

    account_id: AccountId


class GrantCredit(Command[int, AccountProblem]):
    """Give a customer store credit. Answers the account's credit, in cents."""

    account_id: AccountId
    amount_cents: int


class SendCredit(Command[int, AccountProblem]):
    """Transfer store credit to another account, or get it back. Answers what credit is left, in cents."""

    account_id: AccountId
    transfer_id: str = Field(min_length=1)
    to_account_id: str = Field(min_length=1)
    amount_cents: int


class ReceiveCredit(Command[int, AccountProblem]):
    """Take a transfer's credit in. Answers the account's credit, in cents."""

    account_id: AccountId
    transfer_id: str
    from_account_id: str
    amount_cents: int


class ReturnCredit(Command[int, AccountProblem]):
    """Take back the credit of a transfer that the other account refused. A closed account takes it too."""

    account_id: AccountId
    transfer_id: str


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


class AccountClosed(Event):
    """A customer's account was closed."""

    account_id: AccountId


class CreditGranted(Event):
    """A customer was given store credit."""

    account_id: AccountId
    amount_cents: int


class CreditSent(Event):
    """Store credit left for another account."""

    account_id: AccountId
    transfer_id: str
    to_account_id: str
    amount_cents: int


class CreditReceived(Event):
    """A transfer's store credit came in."""

    account_id: AccountId
    transfer_id: str
    from_account_id: str
    amount_cents: int


class CreditReturned(Event):
    """A transfer was refused by the other account, and its store credit came back."""

    account_id: AccountId
    transfer_id: str
    amount_cents: int


AccountCommand: TypeAlias = (
    OpenAccount
    | CloseAccount
    | RecordPurchase
    | RefundPurchase
    | GrantCredit
    | SendCredit
    | ReceiveCredit
    | ReturnCredit
)
AccountEvent: TypeAlias = (
    AccountOpened
    | AccountClosed
    | PurchaseRecorded
    | PurchaseRefunded
    | CreditGranted
    | CreditSent
    | CreditReceived
    | CreditReturned
)
