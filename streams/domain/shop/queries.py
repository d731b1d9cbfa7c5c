"""How the sample application's queries are answered from its read models."""

from schemas.shop.queries import GetBestCustomers, GetCustomerSummary, GetUserById, SalesByDay
from schemas.shop.rows import CustomerSummary, DailySales, UserRow
from streams.domain.shop.projections import customer_summary, daily_sales, users
from streams.kernel.query import Select, many, one


def get_user_by_id(query: GetUserById) -> Select[UserRow | None]:
    """Look a user up."""
    return one(users, "WHERE user_id = %(user_id)s", user_id=query.user_id)


def get_customer_summary(query: GetCustomerSummary) -> Select[CustomerSummary | None]:
    """Look a customer's purchases up."""
    return one(customer_summary, "WHERE account_id = %(account_id)s", account_id=query.account_id)


def get_best_customers(query: GetBestCustomers) -> Select[tuple[CustomerSummary, ...]]:
    """Rank customers by what they spent. Equals are ranked by id, so that the answer is always the same."""
    return many(customer_summary, "ORDER BY total_cents DESC, account_id LIMIT %(limit)s", limit=query.limit)


def sales_by_day(query: SalesByDay) -> Select[tuple[DailySales, ...]]:
    """List the days in between."""
    return many(
        daily_sales, "WHERE day BETWEEN %(first)s AND %(last)s ORDER BY day", first=query.first, last=query.last
    )
