"""The rules of accounts: one for each customer, purchases only while it is open, refunds never beyond a purchase.

Store credit is transferred in two steps, each the decision of one account: it is sent, then received or, if the other
account refuses it, returned. (`process_managers.py` leads from one to the other.)
"""

from collections.abc import Sequence
from typing import assert_never

from pydantic import Field

from schemas.outcomes import Rejected
from schemas.shop.accounts import (
    AccountClosed,
    AccountCommand,
    AccountEvent,
    AccountOpened,
    AccountProblem,
    CloseAccount,
    CreditGranted,
    CreditReceived,
    CreditReturned,
    CreditSent,
    GrantCredit,
    OpenAccount,
    PurchaseRecorded,
    PurchaseRefunded,
    ReceiveCredit,
    RecordPurchase,
    RefundPurchase,
    ReturnCredit,
    SendCredit,
)
from streams.kernel.aggregate import Aggregate, State


class Account(State):
    """What the rules need to know of an account.

    `left_cents`: by purchase, what was paid less what was given back. `sent_cents`: by transfer, what was sent; None
    once it came back.
    """

    account_id: str | None = None
    closed: bool = False
    left_cents: dict[str, int] = Field(default_factory=dict)
    credit_cents: int = 0
    sent_cents: dict[str, int | None] = Field(default_factory=dict)


def decide(account: Account, command: AccountCommand) -> Sequence[AccountEvent] | Rejected[AccountProblem]:
    """Apply the rules of accounts."""
    match command:
        case OpenAccount() if account.account_id is not None:
            return Rejected(AccountProblem.ALREADY_OPEN)
        case OpenAccount(account_id=account_id):
            return [AccountOpened(account_id=account_id)]
        case _ if account.account_id is None:
            return Rejected(AccountProblem.NOT_OPEN)
        case RecordPurchase() | RefundPurchase() if command.amount_cents < 0:
            return Rejected(AccountProblem.NEGATIVE_AMOUNT)
        case RecordPurchase():
            return _purchase(account, command)
        case RefundPurchase():
            return _refund(account, command)
        case CloseAccount(account_id=account_id):
            return [] if account.closed else [AccountClosed(account_id=account_id)]
        case GrantCredit() | SendCredit() | ReceiveCredit() | ReturnCredit():
            return _credit(account, command)
        case _:
            assert_never(command)


def _purchase(account: Account, command: RecordPurchase) -> Sequence[AccountEvent] | Rejected[AccountProblem]:
    if account.closed:
        return Rejected(AccountProblem.CLOSED)
    if command.quantity < 1:
        return Rejected(AccountProblem.NO_QUANTITY)
    if command.purchase_id in account.left_cents:
        return Rejected(AccountProblem.PURCHASE_EXISTS)
    return [PurchaseRecorded.of(command)]


def _refund(account: Account, command: RefundPurchase) -> Sequence[AccountEvent] | Rejected[AccountProblem]:
    """Decide on a refund, which a closed account can have too."""
    left = account.left_cents.get(command.purchase_id)
    if left is None:
        return Rejected(AccountProblem.NO_SUCH_PURCHASE)
    if command.amount_cents > left:
        return Rejected(AccountProblem.REFUND_EXCEEDS_PURCHASE, f"{left} cents are left")
    return [PurchaseRefunded.of(command)]


def _credit(
    account: Account, command: GrantCredit | SendCredit | ReceiveCredit | ReturnCredit
) -> Sequence[AccountEvent] | Rejected[AccountProblem]:
    """Decide on store credit. What comes back is taken by a closed account too, so that no credit is ever lost."""
    match command:
        case ReturnCredit(account_id=account_id, transfer_id=transfer_id):
            cents = account.sent_cents.get(transfer_id)
            if cents is None:
                return Rejected(AccountProblem.NO_SUCH_TRANSFER)
            return [CreditReturned(account_id=account_id, transfer_id=transfer_id, amount_cents=cents)]
        case _ if account.closed:
            return Rejected(AccountProblem.CLOSED)
        case GrantCredit() | SendCredit() | ReceiveCredit() if command.amount_cents < 0:
            return Rejected(AccountProblem.NEGATIVE_AMOUNT)
        case GrantCredit():
            return [CreditGranted.of(command)]
        case ReceiveCredit():
            return [CreditReceived.of(command)]
        case SendCredit(account_id=account_id, to_account_id=other) if other == account_id:
            return Rejected(AccountProblem.SAME_ACCOUNT)
        case SendCredit(transfer_id=transfer_id) if transfer_id in account.sent_cents:
            return Rejected(AccountProblem.TRANSFER_EXISTS)
        case SendCredit(amount_cents=cents) if cents > account.credit_cents:
            return Rejected(AccountProblem.NOT_ENOUGH_CREDIT, f"{account.credit_cents} cents are there")
        case SendCredit():
            return [CreditSent.of(command)]
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
        case AccountClosed():
            return account.but(closed=True)
        case CreditGranted(amount_cents=cents) | CreditReceived(amount_cents=cents):
            return account.but(credit_cents=account.credit_cents + cents)
        case CreditSent(transfer_id=transfer_id, amount_cents=cents):
            sent = {**account.sent_cents, transfer_id: cents}
            return account.but(credit_cents=account.credit_cents - cents, sent_cents=sent)
        case CreditReturned(transfer_id=transfer_id, amount_cents=cents):
            returned = {**account.sent_cents, transfer_id: None}
            return account.but(credit_cents=account.credit_cents + cents, sent_cents=returned)
        case _:
            assert_never(event)


def result(account: Account, events: Sequence[AccountEvent]) -> str | int | None:
    """Answer with the account's id when it is opened, with what is left of a purchase, or with the credit there is."""
    match events:
        case [AccountOpened(account_id=account_id)]:
            return account_id
        case [PurchaseRefunded(purchase_id=purchase_id)]:
            return account.left_cents[purchase_id]
        case [CreditGranted() | CreditSent() | CreditReceived() | CreditReturned()]:
            return account.credit_cents
        case _:
            return None


account = Aggregate("account", initial=Account(), decide=decide, evolve=evolve, result=result)
