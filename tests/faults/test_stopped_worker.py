"""A worker that is stopped (SIGSTOP) inside its database transaction, or between two of them, and goes on much later.

Inside it holds its checkpoints and its shared rows, perhaps in the middle of a COPY, which no timeout of PostgreSQL's
ends. Both are taken from it, it cannot write anything any more, and it ends. Between two transactions it holds nothing:
if it had not fetched more than it had folded, it finds out from Kafka that it is no member any more, and joins again.
"""

import random
from pathlib import Path

import psycopg
import pytest

from streams.watchdog import EXIT_FAILED
from tests.waiting import wait_until
from tests.worker.load import sales
from tests.worker.world import Workers, World, check_exact

LOCKS_HELD = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE wait_event = 'ClientRead' AND mode = 'RowExclusiveLock' AND datname = current_database()
"""


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def holds_locks(world: World) -> bool:
    with psycopg.connect(world.dsn) as connection:
        return connection.execute(LOCKS_HELD).fetchone() != (0,)


@pytest.mark.parametrize("step", ["copy", "committed", pytest.param("lock", marks=pytest.mark.faults_campaign)])
def test_the_others_go_on_and_it_writes_nothing_late(strict_world: World, strict_workers: Workers, step: str) -> None:
    world, workers = strict_world, strict_workers
    chance, writer = random.Random(1), world.writer()
    stopped = workers.start("a", f"{step}:3:SIGSTOP")
    while not is_stopped(stopped.pid):
        writer.burst(sales(world, chance, 50))
        wait_until(lambda: is_stopped(stopped.pid) or world.caught_up(), "the burst ends", 60)
    if step != "committed":
        wait_until(lambda: holds_locks(world), "PostgreSQL waits for the worker", 5)
    workers.start("b")
    for _ in range(5):
        writer.burst(sales(world, chance, 200))
    workers.until(world.caught_up)
    assert is_stopped(stopped.pid)
    check_exact(world)
    workers.resume("a")
    if step == "committed":
        wait_until(lambda: stopped.poll() is not None or workers.have_joined(), "it ends or joins again", 90)
        assert stopped.poll() in (None, EXIT_FAILED)
    else:
        assert stopped.wait(60) == EXIT_FAILED
    check_exact(world)
    writer.burst(sales(world, chance, 200))
    workers.until(world.caught_up)
    check_exact(world)
