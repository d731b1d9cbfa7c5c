"""A rebuilt version equals what the worker folded and what plain Python folds, to the byte; handed over exactly."""

import os
import random
from dataclasses import replace
from typing import Any

import pytest

from infra import replay_parts
from streams.kernel.application import AnyProjection, Application
from streams.kernel.bulk import BulkFold
from streams.postgres.checkpoints import Reader
from streams.postgres.setup import prepare
from streams.replay import source
from tests.replay.apps import NAME, purchases, same, same_days, same_summary, shop_with, spending, wider
from tests.replay.world import Rebuilding
from tests.worker.child import TARGET
from tests.worker.world import Workers, World
from tests.worker.world import purchases as some

SUMMARY_V1, SUMMARY_V2 = Reader("customer_summary", 1), Reader("customer_summary", 2)


def write(world: World, seed: int, bursts: int, size: int = 1500, keys: int = 400) -> None:
    """Write random events, with an aborted transaction after every other one."""
    chance, writer = random.Random(seed), world.writer()
    for number in range(bursts):
        writer.burst(some(chance, size, keys, world.versions))
        if number % 2:
            writer.burst(some(chance, 50, keys, world.versions), abort=True)


@pytest.mark.parametrize(
    ("application", "projection"), [(same, same_summary), (same, same_days), (wider, spending)], ids=lambda each: ""
)
def test_bulk_live_and_a_plain_fold_make_the_same_bytes(
    rebuilding: Rebuilding, workers: Workers, application: Application, projection: AnyProjection
) -> None:
    write(rebuilding.world, 1, 6)
    old = Reader(projection.name, 1)
    workers.start("a")
    workers.until(rebuilding.reached(old))
    built = rebuilding.replay(application, projection.name)
    assert built.handed_over
    assert built.events >= len(rebuilding.world.committed)
    new = Reader(projection.name, 2)
    assert rebuilding.checksum(new) == rebuilding.checksum_expected(projection)
    if projection is not spending:
        assert rebuilding.checksum(new) == rebuilding.checksum(old)


@pytest.mark.parametrize("wishes", [{"rows_max": 50}, {"processes": 2}, {"processes": 2, "rows_max": 100}])
def test_little_memory_and_several_processes_change_nothing(
    rebuilding: Rebuilding, wishes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, rebuilding.world.application.name)
    write(rebuilding.world, 2, 6)
    seen: list[int] = []
    built = rebuilding.replay(
        same, on_progress=lambda progress: seen.append(progress.done), target="tests.replay.apps:same", **wishes
    )
    assert built.handed_over
    assert seen == sorted(seen)
    assert seen[-1] == built.events
    assert rebuilding.checksum(SUMMARY_V2) == rebuilding.checksum_expected(same_summary)


@pytest.mark.parametrize(
    ("events", "cores", "processes"),
    [(0, 8, 1), (499_999, 8, 1), (500_000, 8, 2), (10_000_000, 8, 8), (10_000_000, 1, 1)],
)
def test_a_process_for_each_core_if_there_is_work_for_it(events: int, cores: int, processes: int) -> None:
    assert replay_parts.enough(events, cores) == processes


def test_a_long_log_is_split_without_being_told(rebuilding: Rebuilding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, rebuilding.world.application.name)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: range(3))
    monkeypatch.setattr(replay_parts, "EVENTS_A_PROCESS", 50)
    crews: list[int] = []
    original = replay_parts.Crew.__init__

    def noted(self: replay_parts.Crew, target: str, count: int) -> None:
        crews.append(count)
        original(self, target, count)

    monkeypatch.setattr(replay_parts.Crew, "__init__", noted)
    write(rebuilding.world, 9, 4)
    assert rebuilding.replay(same, target="tests.replay.apps:same").handed_over
    assert rebuilding.checksum(SUMMARY_V2) == rebuilding.checksum_expected(same_summary)
    assert crews == [3]


def test_a_row_an_event_is_kept_beyond_memory(rebuilding: Rebuilding) -> None:
    made = shop_with(purchases)
    purchases_v2 = replace(purchases, version=2)
    again = shop_with(purchases, purchases_v2)
    write(rebuilding.world, 3, 4)
    prepare(rebuilding.world.dsn, rebuilding.named(made))
    rebuilding.replay(again, "purchases", rows_max=200)
    rows = rebuilding.checksum(Reader("purchases", 2))
    assert rows == rebuilding.checksum_expected(purchases_v2)
    assert rows[0] > 1000


def test_the_worker_goes_on_from_exactly_the_checkpoint(rebuilding: Rebuilding, workers: Workers) -> None:
    write(rebuilding.world, 4, 4)
    built = rebuilding.replay(wider)
    assert rebuilding.checkpoints(SUMMARY_V2) == built.position.offsets
    write(rebuilding.world, 5, 2)
    workers.environment[TARGET] = "tests.replay.apps:wider"
    workers.start("a")
    workers.until(rebuilding.reached(SUMMARY_V1, SUMMARY_V2))
    # An event that was folded twice, or by neither, would show in the sums.
    assert rebuilding.checksum(SUMMARY_V2) == rebuilding.checksum_expected(spending)


def test_a_worker_that_runs_takes_up_what_is_handed_over(rebuilding: Rebuilding, workers: Workers) -> None:
    workers.environment[TARGET] = "tests.replay.apps:wider"
    workers.start("a")
    write(rebuilding.world, 6, 3)
    workers.until(rebuilding.reached(SUMMARY_V1))
    assert rebuilding.checkpoints(SUMMARY_V2) == {}
    rebuilding.replay(wider)
    write(rebuilding.world, 7, 2)
    workers.until(rebuilding.reached(SUMMARY_V1, SUMMARY_V2))
    assert rebuilding.checksum(SUMMARY_V2) == rebuilding.checksum_expected(spending)
    assert workers.exits == []


@pytest.mark.parametrize("name", ["customer_summary", "daily_sales"])
def test_no_more_rows_are_in_memory_than_it_was_told_and_a_batch_touches(
    rebuilding: Rebuilding, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(rebuilding.world, 8, 4)
    rows_max, batch, seen = 60, 40, list[int]()
    fold = BulkFold.fold

    def watched(self: BulkFold, *arguments: Any) -> None:
        fold(self, *arguments)
        seen.append(len(self.rows))

    monkeypatch.setattr(source, "BATCH_RECORDS", batch)
    monkeypatch.setattr(BulkFold, "fold", watched)
    assert rebuilding.replay(same, name, rows_max=rows_max).handed_over
    (rows, _) = found = rebuilding.checksum(Reader(name, 2))
    assert found == rebuilding.checksum_expected(same_summary if name == "customer_summary" else same_days)
    assert rows > rows_max + batch  # a fold larger than memory
    assert max(seen) <= rows_max + batch
