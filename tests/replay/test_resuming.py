"""A replay that was killed or stopped goes on from its last save, and comes to the same rows."""

import random
import signal
import subprocess
import sys
from collections.abc import Mapping

import psycopg
import pytest

from schemas.position import Place
from streams.postgres.checkpoints import Reader
from streams.replay import planning
from streams.replay.errors import CannotReplay
from streams.replay.planning import lock
from tests.replay.apps import same, same_days, same_summary, spending, wider
from tests.replay.world import Rebuilding
from tests.waiting import wait_until
from tests.worker.world import World, purchases

V2 = Reader("customer_summary", 2)
EVENTS = 24_000


def write(world: World, seed: int, events: int = EVENTS, keys: int = 500) -> None:
    chance, writer = random.Random(seed), world.writer()
    for _ in range(events // 2000):
        writer.burst(purchases(chance, 2000, keys, world.versions))


def start(rebuilding: Rebuilding, target: str, projection: str, die_at: str) -> "subprocess.Popen[str]":
    world = rebuilding.world
    arguments = [
        target,
        world.application.name,
        world.kafka.bootstrap_servers,
        world.dsn,
        str(rebuilding.settings.home),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.replay.child", *arguments, projection, die_at],
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(
    rebuilding: Rebuilding, die_at: str, target: str = "tests.replay.apps:same", projection: str = V2.name
) -> None:
    """Have a replay die."""
    process = start(rebuilding, target, projection, die_at)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors


def done(at: Mapping[Place, int]) -> int:
    return sum(at.values())


@pytest.mark.parametrize(
    "die_at",
    [
        "progress:0.01",
        "progress:0.5",
        "saving:4",
        "saved:1",
        "handover",
        *(pytest.param(each, marks=pytest.mark.faults_campaign) for each in ("progress:0.9", "saving:1", "saved:5")),
    ],
)
def test_killed_anywhere_it_goes_on_to_the_same_rows(rebuilding: Rebuilding, die_at: str) -> None:
    write(rebuilding.world, 1)
    killed(rebuilding, die_at)
    before = done(rebuilding.checkpoints(V2))
    built = rebuilding.replay(same)
    assert built.handed_over
    assert built.events == done(built.position.offsets) - before
    assert rebuilding.checksum(V2) == rebuilding.checksum_expected(same_summary)


def test_killed_again_and_again_with_shared_rows_and_deletions_of_memory(rebuilding: Rebuilding) -> None:
    days = Reader("daily_sales", 2)
    write(rebuilding.world, 2)
    for die_at in ("progress:0.2", "saving:2", "progress:0.3", "saved:2", "progress:0.6"):
        killed(rebuilding, die_at, projection=days.name)
    rebuilding.replay(same, days.name, rows_max=20)
    assert rebuilding.checksum(days) == rebuilding.checksum_expected(same_days)


def test_killed_at_ninety_percent_it_repeats_at_most_a_tenth(rebuilding: Rebuilding) -> None:
    write(rebuilding.world, 3)
    killed(rebuilding, "progress:0.9")
    built = rebuilding.replay(same)
    whole = done(built.position.offsets)
    assert built.events <= 0.2 * whole
    assert built.events + 0.9 * whole <= 1.1 * whole + 300


def test_events_of_the_time_between_are_folded_too(rebuilding: Rebuilding) -> None:
    write(rebuilding.world, 4)
    killed(rebuilding, "progress:0.5", "tests.replay.apps:wider")
    write(rebuilding.world, 5, 4000)
    rebuilding.replay(wider)
    assert rebuilding.checksum(V2) == rebuilding.checksum_expected(spending)


def test_two_replays_of_one_version_are_one_too_many(rebuilding: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "LOCK_S", 0.3)
    write(rebuilding.world, 6, 2000)
    with psycopg.connect(rebuilding.world.dsn, autocommit=True) as other:
        lock(other, rebuilding.world.application.name, V2)
        with pytest.raises(CannotReplay, match="another replay of customer_summary v2 is running"):
            rebuilding.replay(same)
    assert rebuilding.replay(same).handed_over


def test_other_code_does_not_go_on_with_what_was_begun(rebuilding: Rebuilding) -> None:
    write(rebuilding.world, 7)
    killed(rebuilding, "progress:0.5")
    with pytest.raises(CannotReplay, match=r"the code of customer_summary v2 has changed since .*--restart"):
        rebuilding.replay(wider)
    rebuilding.replay(wider, restart=True)
    assert rebuilding.checksum(V2) == rebuilding.checksum_expected(spending)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_everything_that_it_has_done(rebuilding: Rebuilding, number: signal.Signals) -> None:
    write(rebuilding.world, 8)
    process = start(rebuilding, "tests.replay.apps:same", V2.name, "slow")
    wait_until(lambda: done(rebuilding.checkpoints(V2)) > 0, "something is saved")
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    before = done(rebuilding.checkpoints(V2))
    states = rebuilding.ask("SELECT state FROM kafold.projections WHERE projection = %s AND version = 2", V2.name)
    assert states == [("replaying",)]
    built = rebuilding.replay(same)
    assert 0 < built.events == done(built.position.offsets) - before
    assert rebuilding.checksum(V2) == rebuilding.checksum_expected(same_summary)
