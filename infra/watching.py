"""Watching: where the parts of a running group can be asked how they are, and what they answer.

The addresses lie in a file of the home for as long as the group runs, so that `kafold status` finds them.

Promises: a part that does not answer in time is said to be silent; asking never fails.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

FILE = "parts.json"
TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class PartHealth:
    """How a part says it is. The lag is None for a part that owns nothing, as the read API."""

    part: str
    address: str
    ready: bool
    reason: str
    lag_offsets: int | None = None
    lag_seconds: float | None = None

    def facts(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


@contextmanager
def noted(home: Path, addresses: Mapping[str, str]) -> Iterator[None]:
    """Keep the addresses where `addresses_in` finds them, for the block's duration."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / FILE
    path.write_text(json.dumps(addresses), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def addresses_in(home: Path) -> dict[str, str]:
    """Return the addresses of the group that runs in a home; none: none runs."""
    try:
        found = json.loads((home / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(part): str(address) for part, address in found.items()} if isinstance(found, dict) else {}


def ask_all(addresses: Mapping[str, str]) -> list[PartHealth]:
    """Ask every part at once."""
    if not addresses:
        return []
    with ThreadPoolExecutor(len(addresses)) as threads:
        return list(threads.map(_ask, addresses, addresses.values()))


def _ask(part: str, address: str) -> PartHealth:
    try:
        response = httpx.get(f"{address}/ready", timeout=TIMEOUT_S)
        said = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return PartHealth(part, address, False, "does not answer")
    if not isinstance(said, dict):
        return PartHealth(part, address, False, "answers something else")
    reason = said.get("reason") or said.get("detail") or said.get("status") or ""
    return PartHealth(part, address, response.is_success, str(reason), said.get("lag_offsets"), said.get("lag_seconds"))
