"""The sample application, put together: `kafold -A streams.domain.shop.app:shop up`."""

from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary, daily_sales, users
from streams.domain.shop.users import user
from streams.kernel.application import Application

shop = Application("shop", aggregates=[user, account], projections=[users, customer_summary, daily_sales])
