"""Asking: what the demo wants to know, from the read API over HTTP.

Promises: nothing is read from anywhere else; every answer shows at least what was loaded.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from infra.demo.cdnow import Totals
from schemas.errors import KafoldError
from schemas.position import Position

PAGE_ROWS = 1_000
TURN_MS = 500
WAIT_S_MAX = 300.0
STALE = 412


class Behind(KafoldError):
    """A projection does not come to the position of the last command. The worker's log says more."""


class Refused(KafoldError):
    """The read API gives no answer. Its log says more."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the projections show."""

    totals: Totals
    users: int
    best: list[tuple[str, int, int]]
    cents_by_month: dict[str, int]


class ReadApi:
    """The read API as a client sees it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)

    def __enter__(self) -> "ReadApi":
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def await_position(self, projection: str, position: Position, on_behind: Callable[[int], None]) -> float:
        """Wait until a projection has reached a position; return how many seconds that took.

        Raises:
            Behind: it does not come there.
        """
        began = time.monotonic()
        while True:
            parameters = {"limit": "1", "after": str(position), "timeout_ms": str(TURN_MS)}
            response = self._http.get(f"/{projection}", params=parameters)
            waited_s = time.monotonic() - began
            if response.status_code != STALE:
                _checked(response)
                return waited_s
            on_behind(_distance(Position.parse(response.json()["at"]), position))
            if waited_s > WAIT_S_MAX:
                raise Behind(response.json()["detail"])

    def figures(self) -> Figures:
        """Ask for everything that the demo shows."""
        days = self._ask("/queries/sales-by-day", first="1900-01-01", last="2100-01-01")
        customers = sum(row["purchases"] > 0 for row in self._rows("customer_summary"))
        return Figures(
            Totals(
                sum(day["purchases"] for day in days),
                customers,
                sum(day["quantity"] for day in days),
                sum(day["total_cents"] for day in days),
            ),
            sum(1 for _ in self._rows("users")),
            [self._customer(row) for row in self._ask("/queries/get-best-customers", limit="10")],
            _by_month(days),
        )

    def _customer(self, row: dict[str, Any]) -> tuple[str, int, int]:
        user = self._ask("/queries/get-user-by-id", user_id=row["account_id"])
        return user["name"], row["purchases"], row["total_cents"]

    def _rows(self, projection: str) -> Iterator[dict[str, Any]]:
        parameters = {"limit": str(PAGE_ROWS)}
        while True:
            page = self._ask(f"/{projection}", **parameters)
            yield from page["rows"]
            if page["next_after_key"] is None:
                return
            parameters["after_key"] = str(page["next_after_key"])

    def _ask(self, path: str, **parameters: str) -> Any:
        return _checked(self._http.get(path, params=parameters)).json()


def _checked(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise Refused(f"the read API answers {response.status_code} to {response.url.path}: {response.text}")
    return response


def _distance(at: Position, goal: Position) -> int:
    """How many offsets are still to be folded."""
    return sum(max(0, offset - at.offsets.get(place, 0)) for place, offset in goal.offsets.items())


def _by_month(days: list[dict[str, Any]]) -> dict[str, int]:
    months: Counter[str] = Counter()
    for day in days:
        months[day["day"][:7]] += day["total_cents"]
    return dict(sorted(months.items()))
