"""Rows, journal and checkpoints equal a reference fold, whatever happens to the workers."""

import os
import random
import signal
import time

import pytest

from streams.domain.shop.projections import customer_summary, daily_sales
from streams.postgres.checkpoints import Reached, wait_for
from tests.worker.world import Workers, World, purchases


def assert_equal_to_the_oracle(world: World) -> None:
    for projection in (customer_summary, daily_sales):
        assert world.actual(projection) == world.expected(projection)
    assert world.journal() == world.journal_expected()


def test_a_backlog_and_what_comes_after_it_is_folded_to_the_row(world: World, workers: Workers) -> None:
    chance, writer = random.Random(1), world.writer()
    for _ in range(4):
        writer.burst(purchases(chance, 3000, 500, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    assert_equal_to_the_oracle(world)
    for _ in range(10):
        writer.burst(purchases(chance, 20, 500, world.versions))
    waited = wait_for(world.dsn, world.application.name, "customer_summary", world.position, 10)
    assert waited.reached is Reached.YES
    workers.until(world.caught_up)
    assert_equal_to_the_oracle(world)


def test_a_worker_that_is_asked_to_stop_exits_cleanly(world: World, workers: Workers) -> None:
    world.writer().burst(purchases(random.Random(2), 500, 50, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    began = time.monotonic()
    workers.running["a"].send_signal(signal.SIGTERM)
    assert workers.running["a"].wait(15) == 0, workers.logs()
    assert time.monotonic() - began < 8


def test_aborted_and_open_transactions_are_never_seen(world: World, workers: Workers) -> None:
    chance, writer = random.Random(3), world.writer()
    writer.burst(purchases(chance, 500, 100, world.versions))
    writer.burst(purchases(chance, 500, 100, world.versions), abort=True)
    writer.burst(purchases(chance, 500, 100, world.versions))
    writer.burst(purchases(chance, 500, 100, world.versions), abort=True)
    workers.start("a")
    workers.until(world.caught_up)
    assert_equal_to_the_oracle(world)


def test_waiting_says_where_the_projection_is_when_it_is_late(world: World, workers: Workers) -> None:
    writer = world.writer()
    writer.burst(purchases(random.Random(4), 100, 10, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    goal = world.position
    far = type(goal)({place: offset + 1000 for place, offset in goal.offsets.items()}, goal.topic_ids)
    waited = wait_for(world.dsn, world.application.name, "customer_summary", far, 0.2)
    assert waited.reached is Reached.STALE
    assert waited.position.reached(goal)


def storm(world: World, workers: Workers, seed: int, seconds: float) -> None:
    """Two workers under load, killed, asked to stop, and stopped and continued; some transactions are aborted."""
    chance, writer = random.Random(seed), world.writer()
    for name in "ab":
        workers.start(name)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(chance.randrange(1, 4)):
            writer.burst(purchases(chance, 800, 400, world.versions), abort=chance.random() < 0.2)
        workers.revive()
        victim, fate = chance.choice("ab"), chance.random()
        if fate < 0.35:
            workers.kill(victim)
        elif fate < 0.5:
            workers.running[victim].terminate()
        elif fate < 0.6:
            os.kill(workers.running[victim].pid, signal.SIGSTOP)
            time.sleep(8)  # longer than the session timeout: the other worker takes over
            os.kill(workers.running[victim].pid, signal.SIGCONT)
        time.sleep(chance.uniform(0.1, 3))
    workers.until(world.caught_up, timeout_s=120)
    assert_equal_to_the_oracle(world)


def test_two_workers_that_are_killed_under_load_count_everything_once(world: World, workers: Workers) -> None:
    storm(world, workers, seed=5, seconds=25)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(100, 106))
def test_a_campaign_of_kills(world: World, workers: Workers, seed: int) -> None:
    storm(world, workers, seed=seed, seconds=90)
