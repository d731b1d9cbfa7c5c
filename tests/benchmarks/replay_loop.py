"""`kafold replay` in a process of its own, for `replay`: prints how many seconds it took, from its plan to its end."""

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

from infra.engines import Endpoints
from infra.replay_parts import Wishes
from infra.replaying import replay_projection
from infra.settings import load_settings
from schemas.metadata import EventMetadata
from schemas.rows import Row
from schemas.shop.accounts import PurchaseRecorded
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary
from streams.kernel.application import Application
from streams.kernel.projection import Projection
from streams.kernel.row_per_event import RowPerEvent
from tests.benchmarks.projections import application


class PurchaseRow(Row):
    """One purchase: a row an event."""

    purchase_id: str
    account_id: str = ""
    day: date | None = None
    quantity: int = 0
    amount_cents: int = 0


def project_purchase(row: PurchaseRow, event: PurchaseRecorded, meta: EventMetadata) -> PurchaseRow:
    """Keep one purchase."""
    return row.but(account_id=event.account_id, day=event.day, quantity=event.quantity, amount_cents=event.amount_cents)


def _purchase_id(event: PurchaseRecorded) -> str:
    return event.purchase_id


purchases = RowPerEvent("purchases", version=1, row=PurchaseRow, of=[account], event=PurchaseRecorded)
by_hand = Projection("by_hand", version=1, row=PurchaseRow, of=[account], project=project_purchase, key=_purchase_id)


def versions(name: str) -> Application:
    """Return the application with the next version of each projection beside it."""
    first = before(name)
    return replace(first, projections=[*first.projections, *(replace(each, version=2) for each in first.projections)])


def before(name: str) -> Application:
    """Return the application as it was before: what readers see."""
    return replace(application(name), projections=[customer_summary, purchases, by_hand])


# What the processes of a replay import.
bench = versions("bench")
benchlarge = versions("benchlarge")


def main() -> None:
    """Replay once."""
    name, bootstrap_servers, dsn, home, projection, processes = sys.argv[1:]
    settings = load_settings(home=Path(home), kafka={"bootstrap_servers": bootstrap_servers}, postgres={"dsn": dsn})
    endpoints, wishes = Endpoints(bootstrap_servers, dsn, {}, owned=False), Wishes(processes=int(processes) or None)
    target = f"tests.benchmarks.replay_loop:{name}"
    built = replay_projection(target, versions(name), settings, endpoints, projection, wishes, lambda _: None)
    print("seconds:", built.seconds)  # noqa: T201


if __name__ == "__main__":
    main()
