"""The sample application's rows: what its read models show. Money is whole United States cents."""

from datetime import date

from pydantic import Field

from schemas.rows import Row


class UserRow(Row):
    """One user as it stands."""

    user_id: str = Field(description="the user's id")
    email: str = Field("", description="the address that the user has now")
    name: str = Field("", description="the name that the user gave")
    active: bool = Field(True, description="false once the user was deactivated")


class CustomerSummary(Row):
    """One customer's purchases so far."""

    account_id: str = Field(description="the customer's account")
    first_purchase: date | None = Field(None, description="day of the first purchase")
    last_purchase: date | None = Field(None, description="day of the last purchase")
    purchases: int = Field(0, description="number of purchases")
    quantity: int = Field(0, description="number of discs bought")
    total_cents: int = Field(0, description="bought less refunded, United States cents")


class DailySales(Row):
    """One day's sales over all customers."""

    day: date = Field(description="the day of the sales")
    purchases: int = Field(0, description="number of purchases")
    quantity: int = Field(0, description="number of discs sold")
    total_cents: int = Field(0, description="sold less refunded on that day, United States cents")


class AccountClosing(Row):
    """Users whose accounts are to be closed: nothing is remembered, so there is never a row."""

    user_id: str = Field(description="the user's id, and the account's")


class CreditTransfer(Row):
    """One transfer of store credit that is under way; a row is gone when its transfer is over."""

    transfer: str = Field(description="the sender's account, a slash, and the transfer's id")
    transfer_id: str = Field("", description="the transfer's id, which its sender gave")
    from_account_id: str = Field("", description="the account that the credit left")
    to_account_id: str = Field("", description="the account that it is meant for")
    amount_cents: int = Field(0, description="United States cents")
    refused: str | None = Field(None, description="why the other account refused it; it is on its way back then")
