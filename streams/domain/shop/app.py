"""The sample application, put together: `kafold -A streams.domain.shop.app:shop up`."""

from pathlib import Path

import schemas.shop as shop_language
from schemas.history import read_history
from schemas.upcasting import Evolution
from streams.domain.shop.accounts import account
from streams.domain.shop.process_managers import account_closing, credit_transfer
from streams.domain.shop.projections import customer_summary, daily_sales, users
from streams.domain.shop.queries import get_best_customers, get_customer_summary, get_user_by_id, sales_by_day
from streams.domain.shop.users import user
from streams.kernel.application import Application

shop = Application(
    "shop",
    aggregates=[user, account],
    projections=[users, customer_summary, daily_sales],
    queries=[get_user_by_id, get_customer_summary, get_best_customers, sales_by_day],
    process_managers=[account_closing, credit_transfer],
    evolution=Evolution(read_history(Path(shop_language.__file__).parent / "avsc")),
)
