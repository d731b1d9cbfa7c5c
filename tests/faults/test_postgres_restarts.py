"""PostgreSQL stopped and started under load: workers recover by themselves, and all stays exact.

Workers commit without waiting for the disk. A crash of the server forgets their last commits, rows and checkpoints
together; the test makes sure that there are some, by keeping PostgreSQL from writing its log by itself.
"""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.own_engines import OwnPostgres
from tests.worker.apps import strict, strict_variables
from tests.worker.load import steady_load
from tests.worker.world import Workers, World, check_exact, world_of


def fast(server: OwnPostgres) -> None:
    """Stop in order: clients are cut off, everything is written."""
    server.stop()


def immediate(server: OwnPostgres) -> None:
    """Stop as a crash does, by PostgreSQL's own immediate shutdown."""
    server.crash(signal.SIGQUIT)


def kill_9(server: OwnPostgres) -> None:
    """Kill the server; its children notice."""
    server.crash(signal.SIGKILL)


Stop = Callable[[OwnPostgres], None]
ALL: list[Stop] = [fast, immediate, kill_9]


@pytest.fixture
def server(own_postgres: OwnPostgres) -> OwnPostgres:
    """A PostgreSQL that writes its log only when it must."""
    with psycopg.connect(own_postgres.dsn, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("ALTER SYSTEM SET wal_writer_flush_after = '100MB'")
        connection.execute("SELECT pg_reload_conf()")
    return own_postgres


@pytest.fixture
def world(kafka: str, server: OwnPostgres, unique_name: Callable[[str], str]) -> Iterator[World]:
    with world_of(unique_name("s"), kafka, server.dsn, strict) as made:
        yield made


@pytest.fixture
def workers(world: World, tmp_path: Path) -> Iterator[Workers]:
    with closing(Workers(world, tmp_path)) as made:
        made.environment = dict(strict_variables(tmp_path / "mended"))
        yield made


def progress(world: World, workers: Workers) -> None:
    """Wait until everything that is written by now is folded."""
    goal = dict(world.ends)

    def reached() -> bool:
        found = world.checkpoints()
        return all(found.get(("diary", n), 0) >= end for (_, n), end in goal.items())

    workers.until(reached, 120)


def restarts(server: OwnPostgres, world: World, workers: Workers, seed: int, stops: list[Stop]) -> list[int]:
    """Stop and start PostgreSQL under load; return by how many events the checkpoints went back each time."""
    back = []
    for name in "ab":
        workers.start(name)
    with steady_load(world, seed):
        for stop in stops:
            progress(world, workers)
            before = sum(world.checkpoints().values())
            stop(server)
            server.start()
            back.append(before - sum(world.checkpoints().values()))
            check_exact(world)
        progress(world, workers)
    workers.until(world.caught_up, 120)
    check_exact(world)
    return back


def test_a_stop_in_order_and_two_crashes_under_load(server: OwnPostgres, world: World, workers: Workers) -> None:
    back = restarts(server, world, workers, 1, ALL)
    assert max(back) > 0, "no crash has forgotten anything, so this test has shown little"


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(400, 404))
def test_a_campaign_of_restarts(server: OwnPostgres, world: World, workers: Workers, seed: int) -> None:
    stops = ALL * 3
    random.Random(seed).shuffle(stops)
    restarts(server, world, workers, seed, stops)
