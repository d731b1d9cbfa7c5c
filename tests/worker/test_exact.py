"""Rows, journal and checkpoints equal a reference fold. What may happen to workers is in `tests/faults`."""

import random
import signal
import time

from streams.postgres.checkpoints import Reached, wait_for
from tests.worker.world import Workers, World, check_exact, purchases


def test_a_backlog_and_what_comes_after_it_is_folded_to_the_row(world: World, workers: Workers) -> None:
    chance, writer = random.Random(1), world.writer()
    for _ in range(4):
        writer.burst(purchases(chance, 3000, 500, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    check_exact(world)
    for _ in range(10):
        writer.burst(purchases(chance, 20, 500, world.versions))
    waited = wait_for(world.dsn, world.application.name, "customer_summary", world.position, 10)
    assert waited.reached is Reached.YES
    workers.until(world.caught_up)
    check_exact(world)


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
    check_exact(world)


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
