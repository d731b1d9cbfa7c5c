"""Measuring: alternating runs, medians and spreads, and one JSON object on the last line."""

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.engines import Endpoints, engines
from infra.settings import load_settings

RUNS = 5


@contextmanager
def engines_for_benchmarks() -> Iterator[Endpoints]:
    """Yield fresh engines in a temporary home, so that figures do not depend on what was there."""
    with TemporaryDirectory(prefix="kafold-bench-") as home, engines(load_settings(home=Path(home))) as endpoints:
        yield endpoints


def alternating(measures: Mapping[str, Callable[[], float]], runs: int = RUNS) -> dict[str, list[float]]:
    """Run each measure in turn, `runs` times, so that the machine's moods fall on all alike."""
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for run in range(1, runs + 1):
        for name, measure in measures.items():
            figures[name].append(measure())
            say(f"run {run}/{runs}: {name} {figures[name][-1]:,.6g}")
    return figures


def summary(figures: Sequence[float]) -> dict[str, float]:
    """Return the median and the spread of some runs."""
    return {"median": statistics.median(figures), "min": min(figures), "max": max(figures)}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def say(line: str) -> None:
    """Tell the person who waits; the JSON goes to standard output, this to standard error."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def report(result: Mapping[str, object], as_json: bool) -> None:
    """Print the figures, as one JSON object on the last line where that was asked for."""
    if as_json:
        print(json.dumps(result))  # noqa: T201
        return
    for name, figure in result.items():
        print(f"{name}: {figure}")  # noqa: T201
