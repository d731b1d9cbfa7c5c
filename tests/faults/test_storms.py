"""Storms: many faults in a row, at random, while commands come in all the time; the oracle stays exact.

In the **rebalance storm** processors join and leave in order, are killed, or stop for longer than their session, so
that cooperative rebalances fall anywhere in a commit. In the **storm on local state** a processor is killed again and
again, and finds its RocksDB cut short, with flipped bits, without some or all of its files, or as it was some time ago.
"""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from streams.processor.processor import SESSION_TIMEOUT_MS
from tests.faults.damage import DAMAGES, Keeper
from tests.faults.judge import Judge
from tests.faults.processes import Processors
from tests.meanwhile import meanwhile
from tests.waiting import wait_until

SLOTS = 3
BURST = 50


@contextmanager
def steady_load(judge: Judge, seed: int) -> Iterator[None]:
    """Send bursts of commands for as long as the block runs."""

    def send(stop: threading.Event) -> None:
        burst = 0
        while not stop.wait(0.05):
            judge.send(seed * 100_000 + burst, BURST)
            burst += 1

    with meanwhile(send):
        yield


def progress(judge: Judge, processors: Processors) -> None:
    """Wait until something more is answered: the storm leaves time to work."""
    before = len(judge.answered())

    def moved() -> bool:
        processors.revive()
        return len(judge.answered()) > before

    wait_until(moved, "something is answered", 60, pause_s=0.2)


def suspend_for_a_while(processors: Processors, slot: int, chance: random.Random) -> None:
    """Stop one, sometimes for longer than its session, and let it go on."""
    processors.suspend(slot)
    threading.Event().wait(SESSION_TIMEOUT_MS / 1_000 * chance.uniform(0, 1.5))
    processors.resume(slot)


FATES: Sequence[Callable[[Processors, int, random.Random], object]] = (
    lambda processors, slot, _: processors.stop(slot),
    lambda processors, slot, _: processors.kill(slot),
    lambda processors, slot, _: processors.start(slot),  # a rival of the same slot, which fences the first one
    suspend_for_a_while,
)


def rebalance_storm(seed: int, turns: int, processors: Processors, judge: Judge) -> None:
    """Processors come and go. Whoever ends by itself (fenced) is started again."""
    chance = random.Random(seed)
    for slot in range(SLOTS):
        processors.start(slot)
    with steady_load(judge, seed):
        for turn in range(turns):
            slot = chance.randrange(SLOTS)
            if slot in processors.running:
                FATES[turn % len(FATES)](processors, slot, chance)
            else:
                processors.start(slot)
            if not processors.running:
                processors.start(slot)
            progress(judge, processors)
    judge.judge(timeout_s=120)


def storm_on_local_state(seed: int, turns: int, processors: Processors, judge: Judge) -> None:
    """Kill, damage, start again; each kind of damage in turn."""
    chance = random.Random(seed)
    keeper = Keeper(processors.state(0))
    with steady_load(judge, seed):
        for turn in range(turns):
            processors.start(0)
            progress(judge, processors)
            processors.kill(0)
            DAMAGES[turn % len(DAMAGES)](keeper, chance)
        processors.start(0)
        progress(judge, processors)
    judge.judge(timeout_s=120)


def test_a_rebalance_storm(processors: Processors, judge: Judge) -> None:
    rebalance_storm(7, 6, processors, judge)


def test_a_storm_on_local_state(processors: Processors, judge: Judge) -> None:
    storm_on_local_state(8, len(DAMAGES), processors, judge)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(20, 26))
def test_a_campaign_of_rebalance_storms(seed: int, processors: Processors, judge: Judge) -> None:
    rebalance_storm(seed, 30, processors, judge)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(30, 34))
def test_a_campaign_of_storms_on_local_state(seed: int, processors: Processors, judge: Judge) -> None:
    storm_on_local_state(seed, 4 * len(DAMAGES), processors, judge)
