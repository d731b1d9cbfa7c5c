"""The rules of accounts: one for each customer, purchases only while it is open, refunds never beyond a purchase."""

from collections.abc import Sequence
from typing import assert_never

from pydantic import Field

from schemas.outcomes import Rejected
from schemas.shop.accounts import (
    AccountCommand,
    AccountEvent,
    AccountOpened,
    AccountProblem,
    OpenAccount,
    PurchaseRecorded,
    PurchaseRefunded,
    RecordPurchase,
    RefundPurchase,
)
from streams.kernel.aggregate import Aggregate, State


class Account(State):
    """What the rules need to know of an account. `left_cents`: by purchase, what was paid less what was given back."""

    account_id: str | None = None
    left_cents: dict[str, int] = Field(default_factory=dict)


def decide(account: Account, command: AccountCommand) -> Sequence[AccountEvent] | Rejected[AccountProblem]:
    """Apply the rules of accounts."""
    match command:
        case OpenAccount() if account.account_id is not None:
            return Rejected(AccountProblem.ALREADY_OPEN)
        case OpenAccount(account_id=account_id):
            return [AccountOpened(account_id=account_id)]
        case _ if account.account_id is None:
            return Rejected(AccountProblem.NOT_OPEN)
        case RecordPurchase(amount_cents=cents) | RefundPurchase(amount_cents=cents) if cents < 0:
            return Rejected(AccountProblem.NEGATIVE_AMOUNT)
        case RecordPurchase(quantity=quantity) if quantity < 1:
            return Rejected(AccountProblem.NO_QUANTITY)
        case RecordPurchase(purchase_id=purchase_id) if purchase_id in account.left_cents:
            return Rejected(AccountProblem.PURCHASE_EXISTS)
        case RecordPurchase():
            return [PurchaseRecorded(**command.facts())]
        case RefundPurchase(purchase_id=purchase_id) if purchase_id not in account.left_cents:
            return Rejected(AccountProblem.NO_SUCH_PURCHASE)
        case RefundPurchase(purchase_id=purchase_id, amount_cents=cents) if cents > account.left_cents[purchase_id]:
            return Rejected(AccountProblem.REFUND_EXCEEDS_PURCHASE, f"{account.left_cents[purchase_id]} cents are left")
        case RefundPurchase():
            return [PurchaseRefunded(**command.facts())]
        case _:
            assert_never(command)


def evolve(account: Account, event: AccountEvent) -> Account:
    """Fold one event into an account."""
    match event:
        case AccountOpened(account_id=account_id):
            return account.but(account_id=account_id)
        case PurchaseRecorded(purchase_id=purchase_id, amount_cents=cents):
            return account.but(left_cents={**account.left_cents, purchase_id: cents})
        case PurchaseRefunded(purchase_id=purchase_id, amount_cents=cents):
            left = account.left_cents[purchase_id] - cents
            return account.but(left_cents={**account.left_cents, purchase_id: left})
        case _:
            assert_never(event)


def result(account: Account, events: Sequence[AccountEvent]) -> str | int | None:
    """Answer an opening with the account's id, and a refund with what is left of the purchase."""
    match events:
        case [AccountOpened(account_id=account_id)]:
            return account_id
        case [PurchaseRefunded(purchase_id=purchase_id)]:
            return account.left_cents[purchase_id]
        case _:
            return None


account = Aggregate("account", initial=Account(), decide=decide, evolve=evolve, result=result)
