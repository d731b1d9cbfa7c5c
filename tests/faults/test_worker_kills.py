"""The read side under kill -9, before, inside and after the transaction that moves the checkpoint."""

import random
import signal

import pytest

from tests.waiting import wait_until
from tests.worker.load import sales
from tests.worker.strikes import FOLDING
from tests.worker.world import Workers, World, check_exact

BURSTS_MAX = 40


def kill_at_steps(steps: list[str], seed: int, world: World, workers: Workers) -> None:
    """Let a worker die at each of the steps in turn, under load; what is there is exact after each of them."""
    chance, writer = random.Random(seed), world.writer()
    for step in steps:
        child = workers.start("a", f"{step}:{chance.randrange(1, 8)}:SIGKILL")
        for _ in range(BURSTS_MAX):
            writer.burst(sales(world, chance, 150), abort=chance.random() < 0.2)
            # Bursts on their own make several transactions, of which the child survives some.
            wait_until(lambda: child.poll() is not None or world.caught_up(), "the burst ends", 60)  # noqa: B023
            if child.poll() is not None:
                break
        assert child.poll() == -signal.SIGKILL, f"the worker did not reach {step}: {workers.logs()}"
        check_exact(world)
        workers.bury("a")
    workers.start("a")
    workers.until(world.caught_up)
    check_exact(world)


def test_kill_9_before_inside_at_the_end_of_and_after_a_transaction(
    strict_world: World, strict_workers: Workers
) -> None:
    kill_at_steps(["read", "rows", "commit", "committed"], 1, strict_world, strict_workers)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(200, 208))
def test_a_campaign_of_kills_at_steps_in_any_order(seed: int, strict_world: World, strict_workers: Workers) -> None:
    steps = list(FOLDING) * 2
    random.Random(seed).shuffle(steps)
    kill_at_steps(steps, seed, strict_world, strict_workers)
