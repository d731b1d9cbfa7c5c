"""The rules of accounts: to each command the right events, the right refusal, the right silence."""

from datetime import date

import pytest

from schemas.shop.accounts import (
    AccountClosed,
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
from streams.domain.shop.accounts import account
from streams.kernel.testing import given

DAY = date(1997, 1, 1)
OPENED = AccountOpened(account_id="a1")
CLOSED = AccountClosed(account_id="a1")


def send(cents: int) -> SendCredit:
    return SendCredit(account_id="a1", transfer_id="t1", to_account_id="a2", amount_cents=cents)


def sent(cents: int) -> CreditSent:
    return CreditSent(account_id="a1", transfer_id="t1", to_account_id="a2", amount_cents=cents)


def purchase(cents: int = 1177, quantity: int = 1, number: str = "p1") -> RecordPurchase:
    return RecordPurchase(account_id="a1", purchase_id=number, day=DAY, quantity=quantity, amount_cents=cents)


def bought(cents: int = 1177, quantity: int = 1, number: str = "p1") -> PurchaseRecorded:
    return PurchaseRecorded(account_id="a1", purchase_id=number, day=DAY, quantity=quantity, amount_cents=cents)


def refund(cents: int, number: str = "p1") -> RefundPurchase:
    return RefundPurchase(account_id="a1", purchase_id=number, day=DAY, amount_cents=cents)


def refunded(cents: int, number: str = "p1") -> PurchaseRefunded:
    return PurchaseRefunded(account_id="a1", purchase_id=number, day=DAY, amount_cents=cents)


def test_an_account_is_opened_and_its_id_is_the_answer() -> None:
    given(account).when(OpenAccount(account_id="a1")).then(OPENED).answering("a1")


def test_an_account_is_opened_once() -> None:
    given(account, OPENED).when(OpenAccount(account_id="a1")).then_rejected(AccountProblem.ALREADY_OPEN)


@pytest.mark.parametrize("command", [purchase(), purchase(cents=-1), refund(1)])
def test_nothing_happens_on_an_account_that_is_not_open(command: RecordPurchase | RefundPurchase) -> None:
    given(account).when(command).then_rejected(AccountProblem.NOT_OPEN)


def test_a_purchase_is_recorded() -> None:
    given(account, OPENED).when(purchase(1177, 3)).then(bought(1177, 3)).answering(None)


def test_purchases_add_up() -> None:
    given(account, OPENED, bought()).when(purchase(1200, number="p2")).then(bought(1200, number="p2"))


def test_zero_is_a_real_amount() -> None:
    given(account, OPENED).when(purchase(0)).then(bought(0))


def test_amounts_are_not_negative() -> None:
    given(account, OPENED).when(purchase(-1)).then_rejected(AccountProblem.NEGATIVE_AMOUNT)
    given(account, OPENED, bought()).when(refund(-1)).then_rejected(AccountProblem.NEGATIVE_AMOUNT)


@pytest.mark.parametrize("quantity", [0, -1])
def test_something_must_be_bought(quantity: int) -> None:
    given(account, OPENED).when(purchase(quantity=quantity)).then_rejected(AccountProblem.NO_QUANTITY)


def test_a_purchase_is_recorded_once() -> None:
    given(account, OPENED, bought()).when(purchase(1)).then_rejected(AccountProblem.PURCHASE_EXISTS)


def test_only_what_was_bought_can_be_refunded() -> None:
    given(account, OPENED, bought()).when(refund(1, "p2")).then_rejected(AccountProblem.NO_SUCH_PURCHASE)


def test_a_refund_answers_what_is_left() -> None:
    given(account, OPENED, bought(1177)).when(refund(177)).then(refunded(177)).answering(1000)


def test_all_of_it_can_be_refunded_at_once_or_in_parts() -> None:
    given(account, OPENED, bought(1177)).when(refund(1177)).then(refunded(1177)).answering(0)
    given(account, OPENED, bought(1177), refunded(177)).when(refund(1000)).then(refunded(1000)).answering(0)


def test_no_refund_goes_beyond_what_was_bought() -> None:
    exceeds = AccountProblem.REFUND_EXCEEDS_PURCHASE
    given(account, OPENED, bought(1177)).when(refund(1178)).then_rejected(exceeds, "1177 cents are left")
    given(account, OPENED, bought(1177), refunded(1177)).when(refund(1)).then_rejected(exceeds, "0 cents are left")


def test_a_refund_of_one_purchase_leaves_the_others() -> None:
    history = (OPENED, bought(100), bought(200, number="p2"), refunded(100))
    given(account, *history).when(refund(200, "p2")).then(refunded(200, "p2")).answering(0)


def test_nothing_back_of_nothing_is_still_a_refund() -> None:
    given(account, OPENED, bought(0)).when(refund(0)).then(refunded(0)).answering(0)


def test_a_closed_account_takes_no_purchase_and_no_credit_but_gives_money_back() -> None:
    closed = given(account, OPENED, bought(100), CLOSED)
    closed.when(purchase(number="p2")).then_rejected(AccountProblem.CLOSED)
    closed.when(GrantCredit(account_id="a1", amount_cents=1)).then_rejected(AccountProblem.CLOSED)
    closed.when(refund(100)).then(refunded(100))
    closed.when(CloseAccount(account_id="a1")).then_nothing()


def test_credit_is_sent_as_far_as_there_is_any() -> None:
    rich = given(account, OPENED, CreditGranted(account_id="a1", amount_cents=100))
    rich.when(send(100)).then(sent(100)).answering(0)
    rich.when(send(101)).then_rejected(AccountProblem.NOT_ENOUGH_CREDIT, "100 cents are there")
    rich.when(send(-1)).then_rejected(AccountProblem.NEGATIVE_AMOUNT)
    rich.when(send(1).but(to_account_id="a1")).then_rejected(AccountProblem.SAME_ACCOUNT)


def test_received_credit_adds_up() -> None:
    receive = ReceiveCredit(account_id="a1", transfer_id="t1", from_account_id="a2", amount_cents=5)
    given(account, OPENED).when(receive).then(CreditReceived.of(receive)).answering(5)


def test_a_transfer_comes_back_once_and_its_id_is_used_up() -> None:
    history = (OPENED, CreditGranted(account_id="a1", amount_cents=100), sent(100))
    back = CreditReturned(account_id="a1", transfer_id="t1", amount_cents=100)
    give_back = ReturnCredit(account_id="a1", transfer_id="t1")
    given(account, *history).when(send(0)).then_rejected(AccountProblem.TRANSFER_EXISTS)
    given(account, *history, CLOSED).when(give_back).then(back).answering(100)
    given(account, *history, back).when(give_back).then_rejected(AccountProblem.NO_SUCH_TRANSFER)
    given(account, *history, back).when(send(1)).then_rejected(AccountProblem.TRANSFER_EXISTS)
