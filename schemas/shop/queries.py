"""The sample application's queries: what may be asked of its read models."""

from datetime import date
from typing import Self

from pydantic import Field, model_validator

from schemas.messages import Query
from schemas.shop.rows import CustomerSummary, DailySales, UserRow


class GetUserById(Query[UserRow | None]):
    """One user as it stands, or nothing."""

    user_id: str = Field(min_length=1, description="the user's id")


class GetCustomerSummary(Query[CustomerSummary | None]):
    """One customer's purchases so far, or nothing."""

    account_id: str = Field(min_length=1, description="the customer's account")


class GetBestCustomers(Query[tuple[CustomerSummary, ...]]):
    """The customers who spent most, the best first."""

    limit: int = Field(10, ge=1, le=1000, description="how many")


class SalesByDay(Query[tuple[DailySales, ...]]):
    """The days on which something was sold, in order, first and last included."""

    first: date = Field(description="the first day")
    last: date = Field(description="the last day")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("last is before first")
        return self
