"""The ways of the shop's process managers: to each fact the right commands, or the right silence."""

import pytest

from schemas.outcomes import Accepted, Rejected
from schemas.position import Position
from schemas.shop.accounts import AccountProblem, CloseAccount, CreditSent, ReceiveCredit, ReturnCredit
from schemas.shop.rows import CreditTransfer
from schemas.shop.users import UserDeactivated
from streams.domain.shop.process_managers import account_closing, credit_transfer
from streams.kernel.process_manager import Answered
from streams.kernel.testing import given

SENT = CreditSent(account_id="ada", transfer_id="t1", to_account_id="bob", amount_cents=1200)
RECEIVE = ReceiveCredit(account_id="bob", transfer_id="t1", from_account_id="ada", amount_cents=1200)
RETURN = ReturnCredit(account_id="ada", transfer_id="t1")
DONE = Accepted(1200, 3, Position())
REFUSED = Rejected(AccountProblem.CLOSED)
UNDER_WAY = CreditTransfer(
    transfer="ada/t1", transfer_id="t1", from_account_id="ada", to_account_id="bob", amount_cents=1200
)


def test_a_deactivated_user_s_account_is_closed_and_nothing_remembered() -> None:
    event = UserDeactivated(user_id="ada")
    given(account_closing).when(event).then_sends(CloseAccount(account_id="ada")).then_over()


def test_sent_credit_is_to_be_received() -> None:
    given(credit_transfer).when(SENT).then_sends(RECEIVE).then_state(UNDER_WAY)


def test_received_credit_ends_the_transfer() -> None:
    given(credit_transfer, SENT).when(Answered(RECEIVE, DONE)).then_sends_nothing().then_over()


@pytest.mark.parametrize("problem", [AccountProblem.CLOSED, AccountProblem.NOT_OPEN])
def test_refused_credit_is_to_be_returned(problem: AccountProblem) -> None:
    refused = given(credit_transfer, SENT).when(Answered(RECEIVE, Rejected(problem)))
    refused.then_sends(RETURN).then_state(UNDER_WAY.but(refused=problem.value))


def test_returned_credit_ends_the_transfer() -> None:
    given(credit_transfer, SENT, Answered(RECEIVE, REFUSED)).when(Answered(RETURN, DONE)).then_over()


def test_credit_that_cannot_be_returned_is_for_a_person_to_see() -> None:
    stuck = given(credit_transfer, SENT, Answered(RECEIVE, REFUSED))
    with pytest.raises(RuntimeError, match="the credit of transfer ada/t1 cannot be returned: no-such-transfer"):
        stuck.when(Answered(RETURN, Rejected(AccountProblem.NO_SUCH_TRANSFER)))


def test_two_senders_may_call_their_transfers_the_same() -> None:
    other = SENT.but(account_id="eve")
    assert credit_transfer.key_of(SENT) != credit_transfer.key_of(other)
