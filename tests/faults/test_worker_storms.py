"""Storms on the read side: workers join, leave, are killed or stopped for a while, under load; all stays exact.

After each turn the oracle is held against what is there, without waiting for the end.
"""

import random
import signal
import threading
from collections.abc import Callable, Sequence

import pytest

from tests.worker.apps import diary
from tests.worker.load import steady_load
from tests.worker.world import Workers, World, check_exact

SESSION_S = 6.0  # of the worker's child


def suspend_for_a_while(workers: Workers, name: str, chance: random.Random) -> None:
    """Stop one, sometimes for longer than its session, so that others take over, and let it go on."""
    workers.suspend(name)
    threading.Event().wait(SESSION_S * chance.uniform(0, 1.5))
    workers.resume(name)


def leave(workers: Workers, name: str, _chance: random.Random) -> None:
    """Stop one in order. One that was started again just now may not listen yet."""
    assert workers.stop(name) in (0, -signal.SIGTERM), workers.logs()


def kill(workers: Workers, name: str, _chance: random.Random) -> None:
    """Kill one and start it again."""
    workers.kill(name)


Fate = Callable[[Workers, str, random.Random], None]
ALL: Sequence[Fate] = (leave, kill, suspend_for_a_while)


def progress(world: World, workers: Workers) -> None:
    """Wait until all workers are there and every partition has moved on: the storm leaves time to work."""
    workers.until(workers.have_joined)
    goal = dict(world.ends)

    def moved() -> bool:
        found = world.checkpoints()
        return all(found.get((diary.name, n), 0) >= end for (_, n), end in goal.items())

    workers.until(moved)


def storm(world: World, workers: Workers, seed: int, turns: int, names: str, fates: Sequence[Fate]) -> None:
    """In each turn one worker joins, or one of those that are there meets its fate."""
    chance = random.Random(seed)
    workers.start(names[0])
    with steady_load(world, seed):
        for _ in range(turns):
            name = chance.choice(names)
            if name in workers.running:
                chance.choice(fates)(workers, name, chance)
            else:
                workers.start(name)
            if not workers.running:
                workers.start(name)
            progress(world, workers)
            check_exact(world)
    workers.until(world.caught_up, timeout_s=120)
    check_exact(world)


def test_three_workers_that_join_leave_and_are_killed_under_load(strict_world: World, strict_workers: Workers) -> None:
    storm(strict_world, strict_workers, 5, 5, "abc", [leave, kill])


@pytest.mark.faults_campaign
@pytest.mark.parametrize("names", ["ab", "abc"])
@pytest.mark.parametrize("seed", range(100, 103))
def test_a_campaign_of_storms(strict_world: World, strict_workers: Workers, names: str, seed: int) -> None:
    storm(strict_world, strict_workers, seed, 20, names, ALL)
