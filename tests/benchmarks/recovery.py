"""`recovery`: how long until a processor decides again: with and without local state, and after another one's end."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from infra.engines import Endpoints
from streams.garbage import collected_by_hand
from streams.processor.processor import CommandProcessor
from tests.benchmarks.commands import PARTITIONS, Backlog
from tests.benchmarks.measuring import engines_for_benchmarks, report, say, summary

AGGREGATES = 100_000
RUNS = 5


def restart_s(backlog: Backlog, state: Path, slot: int = 0) -> float:
    """Return the seconds from a processor's start until it owns every partition."""
    started = time.perf_counter()
    processor = CommandProcessor(backlog.application, backlog.kafka, backlog.ids, PARTITIONS, state, slot=slot)
    own_all(processor, backlog)
    taken = time.perf_counter() - started
    processor.close()
    return taken


def own_all(processor: CommandProcessor, backlog: Backlog) -> None:
    """Turn until the processor owns every partition."""
    while len(processor.owned) < len(backlog.application.aggregates) * PARTITIONS:
        processor.turn()


def restarts(endpoints: Endpoints) -> dict[str, object]:
    """Measure restarts over a log of 100,000 aggregates."""
    backlog = Backlog(endpoints, AGGREGATES, 0)
    backlog.open_accounts()
    state = Path(tempfile.mkdtemp(prefix="kafold-bench-state-"))
    processor = CommandProcessor(backlog.application, backlog.kafka, backlog.ids, PARTITIONS, state)
    with collected_by_hand():
        done = 0
        while done < AGGREGATES:
            done += processor.turn()
    processor.close()
    warm, cold = list[float](), list[float]()
    for run in range(RUNS):
        warm.append(restart_s(backlog, state))
        shutil.rmtree(state)
        cold.append(restart_s(backlog, state))
        say(f"run {run + 1}/{RUNS}: warm {warm[-1]:.2f} s, cold {cold[-1]:.2f} s")
    return {
        "warm_restart_s": summary(warm)["median"],
        "cold_restart_s": summary(cold)["median"],
        "restarts": {"warm": summary(warm), "cold": summary(cold)},
    }


def takeover_s(endpoints: Endpoints, *fault: str) -> float:
    """Return the seconds from a processor's end until another owns every partition.

    With a fault the first one kills itself at that step of a commit, its transaction open; without, it is told to stop.
    """
    backlog = Backlog(endpoints, 100, 0)
    backlog.open_accounts()
    state = tempfile.mkdtemp(prefix="kafold-bench-state-")
    arguments = [backlog.application.name, endpoints.bootstrap_servers, str(PARTITIONS), f"{state}/0", "0", *fault]
    first = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.processor_child", *arguments], stderr=subprocess.DEVNULL
    )
    second = CommandProcessor(backlog.application, backlog.kafka, backlog.ids, PARTITIONS, Path(state) / "1", slot=1)
    while not 0 < len(second.owned) < len(backlog.application.aggregates) * PARTITIONS:
        second.turn()
    if first.poll() is not None:
        raise RuntimeError("the first processor died before the second one had joined: let it live for more commits")
    if not fault:
        os.kill(first.pid, signal.SIGTERM)
    while first.poll() is None:
        if fault:
            give_work(backlog)
        second.turn()
    started = time.perf_counter()
    own_all(second, backlog)
    taken = time.perf_counter() - started
    second.close()
    return taken


def give_work(backlog: Backlog) -> None:
    """Produce what makes at least one more commit for each owner, whichever partitions it owns: none is a command."""
    for aggregate in backlog.application.aggregates:
        topic = backlog.application.topics(aggregate).commands
        for partition in range(PARTITIONS):
            backlog.producer.produce(topic, b"no command", b"a0", partition)
    backlog.producer.flush()


def main(as_json: bool) -> None:
    """Measure all of it on fresh engines."""
    with engines_for_benchmarks() as endpoints:
        figures = restarts(endpoints)
        clean, killed = takeover_s(endpoints), takeover_s(endpoints, "commit", "12")
        takeovers = {"clean_s": clean, "killed_in_an_open_transaction_s": killed}
        report({**figures, "takeover_s": max(clean, killed), "takeovers": takeovers}, as_json)
