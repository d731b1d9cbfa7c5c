"""Figures: those of all workers of a group, asked for over their web and summed.

Promises: a worker that does not answer is named, as its partitions are missing; asking never fails.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx

from infra.watching import TIMEOUT_S
from streams.watching.figures import Tally, merged


class Figures(NamedTuple):
    """The sum, and the addresses of those workers that did not answer."""

    tally: Tally
    silent: Sequence[str]


def workers_among(addresses: Mapping[str, str]) -> list[str]:
    """Return the addresses of the workers among a group's parts."""
    return [address for part, address in addresses.items() if part.startswith("worker")]


def figures_of(addresses: Sequence[str]) -> Figures:
    """Ask every worker at once, and sum up."""
    if not addresses:
        return Figures({}, [])
    with ThreadPoolExecutor(len(addresses)) as threads:
        answers = dict(zip(addresses, threads.map(_ask, addresses), strict=True))
    heard = [answer for answer in answers.values() if answer is not None]
    return Figures(merged(heard), [address for address, answer in answers.items() if answer is None])


def _ask(address: str) -> Sequence[Mapping[str, Any]] | None:
    try:
        found: Sequence[Mapping[str, Any]] = httpx.get(f"{address}/figures", timeout=TIMEOUT_S).json()["figures"]
        merged([found])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return None
    return found
