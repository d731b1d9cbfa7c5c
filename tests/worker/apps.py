"""Applications of the worker's tests; a variable of the worker's child names one of them.

`strict` is the shop with two more projections, which notice what a sum forgives. A **diary**'s row is a chain over its
account's events, so that one that is missing, there twice or out of order changes it for good. An **open day** counts
purchases less refunds of a day, over all partitions, and has no row while there are as many of one as of the other: its
rows come and go all the time, and are shared.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

from schemas.metadata import EventMetadata
from schemas.rows import Row
from schemas.shop.accounts import PurchaseRecorded
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import Custom, Sale
from streams.kernel.projection import Projection
from tests.worker.child import TARGET

MENDED = "KAFOLD_TEST_MENDED"  # a variable that names a file: until it is there, the code cannot take a poison
POISON = "poison"  # the purchase that is one


class Diary(Row):
    """All events of an account, in order."""

    account_id: str
    events: int = 0
    chain: str = ""


class OpenDay(Row):
    """A day whose purchases and refunds are not even."""

    day: date
    open: int = 0


def write_diary(row: Diary, event: Custom, meta: EventMetadata) -> Diary:
    """Add one event to the chain."""
    _take(event)
    chain = hashlib.sha256(f"{row.chain} {meta.event_id}".encode()).hexdigest()
    return row.but(events=row.events + 1, chain=chain)


def count_open(row: OpenDay, event: Sale, meta: EventMetadata) -> OpenDay | None:
    """Count up or down; even is gone."""
    _take(event)
    now_open = row.open + (1 if isinstance(event, PurchaseRecorded) else -1)
    return row.but(open=now_open) if now_open else None


def _take(event: Custom) -> None:
    if getattr(event, "purchase_id", "") == POISON and MENDED in os.environ and not Path(os.environ[MENDED]).exists():
        raise ValueError("poison is not a purchase")


def _day(event: Sale) -> date:
    return event.day


diary = Projection("diary", version=1, row=Diary, of=[account], project=write_diary)
open_days = Projection("open_days", version=1, row=OpenDay, of=[account], project=count_open, key=_day)
strict = replace(shop, projections=[*shop.projections, diary, open_days])


def strict_variables(mended: Path) -> Mapping[str, str]:
    """The variables of a worker of `strict`, whose code is mended when the file is there."""
    return {TARGET: f"{__name__}:strict", MENDED: str(mended)}
