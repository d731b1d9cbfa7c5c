"""The sample application's process managers: what follows in one aggregate from what happened in another."""

from typing import TypeAlias

from schemas.outcomes import Rejected
from schemas.shop.accounts import CloseAccount, CreditSent, ReceiveCredit, ReturnCredit
from schemas.shop.rows import AccountClosing, CreditTransfer
from schemas.shop.users import UserDeactivated
from streams.domain.shop.accounts import account
from streams.domain.shop.users import user
from streams.kernel.process_manager import Answered, FactMetadata, ProcessManager, Reaction

TransferFact: TypeAlias = CreditSent | Answered[ReceiveCredit] | Answered[ReturnCredit]


def react_to_deactivation(
    closing: AccountClosing, event: UserDeactivated, meta: FactMetadata
) -> Reaction[AccountClosing, CloseAccount]:
    """Close the account of a user who was deactivated. Who has none is answered with a refusal that nobody awaits."""
    return None, [CloseAccount(account_id=event.user_id)]


def react_to_transfer(
    transfer: CreditTransfer, fact: TransferFact, meta: FactMetadata
) -> Reaction[CreditTransfer, ReceiveCredit | ReturnCredit]:
    """Lead sent credit into the other account, and back if that refuses it."""
    match fact:
        case CreditSent(account_id=sender, to_account_id=receiver, amount_cents=cents):
            known = transfer.but(
                transfer_id=fact.transfer_id, from_account_id=sender, to_account_id=receiver, amount_cents=cents
            )
            receive = ReceiveCredit(
                account_id=receiver, transfer_id=fact.transfer_id, from_account_id=sender, amount_cents=cents
            )
            return known, [receive]
        case Answered(command=ReceiveCredit(), answer=Rejected(problem=problem)):
            back = ReturnCredit(account_id=transfer.from_account_id, transfer_id=transfer.transfer_id)
            return transfer.but(refused=str(problem)), [back]
        case Answered(answer=Rejected(problem=problem)):
            raise RuntimeError(f"the credit of transfer {transfer.transfer} cannot be returned: {problem}")
        case Answered():
            return None, []


def _transfer(event: CreditSent) -> str:
    return f"{event.account_id}/{event.transfer_id}"


account_closing = ProcessManager(
    "account_closing", version=1, state=AccountClosing, of=[user], react=react_to_deactivation
)
credit_transfer = ProcessManager(
    "credit_transfer", version=1, state=CreditTransfer, of=[account], react=react_to_transfer, key=_transfer
)
