"""A slow database: a large backlog waits in Kafka and not in the worker's memory, and is folded exactly in the end."""

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.faults.relay import LOOPBACK, Relay
from tests.waiting import wait_until
from tests.worker.apps import diary, strict_variables
from tests.worker.child import BATCH_EVENTS_MAX
from tests.worker.load import sales
from tests.worker.world import Workers, World, check_exact

BACKLOG_EVENTS = 120_000
BATCH_EVENTS = 3_000
BATCHES = 4  # that shall be through while the database is slow
DELAY_S = 0.05
GROWTH_MB_MAX = 60  # the whole backlog in memory takes twice as much


def peak_mb(pid: int) -> float:
    """The most memory that a process has had."""
    (line,) = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


@pytest.fixture
def relay(strict_world: World) -> Iterator[Relay]:
    """A relay in front of PostgreSQL."""
    at = conninfo_to_dict(strict_world.dsn)
    with Relay(f"{at['host']}:{at['port']}") as made:
        yield made


@pytest.fixture
def workers(strict_world: World, relay: Relay, tmp_path: Path) -> Iterator[Workers]:
    """Workers that reach PostgreSQL through the relay only."""
    behind = replace(strict_world, dsn=make_conninfo(strict_world.dsn, host=LOOPBACK, port=relay.port))
    with closing(Workers(behind, tmp_path)) as made:
        made.environment = {**strict_variables(tmp_path / "mended"), BATCH_EVENTS_MAX: str(BATCH_EVENTS)}
        yield made


def folded(world: World) -> int:
    """How far the projections are, all partitions together."""
    return sum(offset for (reader, _), offset in world.checkpoints().items() if reader == diary.name)


def test_a_backlog_waits_in_kafka_and_is_folded_exactly(strict_world: World, workers: Workers, relay: Relay) -> None:
    world, chance, writer = strict_world, random.Random(1), strict_world.writer()
    writer.burst(sales(world, chance, 1000))
    worker = workers.start("a")
    wait_until(world.caught_up, "the worker works", 60)
    before_mb = peak_mb(worker.pid)
    relay.delay_s = DELAY_S
    writer.burst(sales(world, chance, BACKLOG_EVENTS))  # committed, and so to be seen, all at once
    wait_until(lambda: folded(world) > 1000 + BATCHES * BATCH_EVENTS, "some batches are through", 120)
    assert not world.caught_up(), "the database was not slow"
    grown_mb = peak_mb(worker.pid) - before_mb
    relay.delay_s = 0
    workers.until(world.caught_up, 120)
    assert grown_mb < GROWTH_MB_MAX
    assert not workers.exits, workers.logs()
    check_exact(world)
