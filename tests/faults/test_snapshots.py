"""Snapshots under faults: kill -9 in the middle of them, and an owner that comes back late with an older one."""

import shutil
import signal
from collections import Counter
from functools import partial

import pytest

from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.kernel.snapshots import MARKER_KEY
from tests.faults.judge import Judge
from tests.faults.processes import Processors
from tests.faults.test_processor_faults import ended_or_answered
from tests.fixtures.shop import PARTITIONS
from tests.log import read_committed
from tests.processor.snapshot_world import World, assert_knows
from tests.waiting import wait_until


@pytest.fixture
def world(application: Application, cluster: Kafka, ids: TopicRegistry, judge: Judge, processors: Processors) -> World:
    return World(application, cluster, ids, judge, processors.folder)


def unfinished(world: World) -> int:
    """Return how many snapshots are newer than their partition's marker."""
    codec, markers, found = world.codec, world.markers(), 0
    for partition, records in world.latest().items():
        for key, value in records.items():
            snapshot = codec.decode(key, value or b"")
            found += snapshot is not None and partition in markers and snapshot.before > markers[partition].before
    return found


def assert_never_older(world: World) -> None:
    """In the topic, no aggregate's version is less than in an earlier snapshot of it."""
    codec, versions = world.codec, Counter[tuple[int | None, bytes]]()
    for record in read_committed(world.cluster, world.snapshots):
        key = record.key() or b""
        snapshot = codec.decode(key, record.value() or b"")
        if snapshot is None:
            assert key == MARKER_KEY
        else:
            assert snapshot.known.version >= versions[record.partition(), key]
            versions[record.partition(), key] = snapshot.known.version


def test_kill_9_between_snapshots_and_their_marker(world: World, processors: Processors, judge: Judge) -> None:
    bursts, left = iter(range(1_000)), list[int]()
    processors.start(0)
    while len(world.markers()) < PARTITIONS:
        judge.send(next(bursts), 200)
        wait_until(judge.all_answered, "the burst is answered")
    processors.kill(0)
    for commits in (20, 26, 32):
        child = processors.start(0, "snapshots", commits)
        while child.poll() is None:
            judge.send(next(bursts), 50)
            wait_until(partial(ended_or_answered, child, judge), "the burst ends")
        assert child.poll() == -signal.SIGKILL
        left.append(unfinished(world))
        shutil.rmtree(processors.state(0))
    assert any(left), "no run was cut short after one of its snapshots"
    processors.start(0)
    judge.send(next(bursts), 50)
    judge.judge()
    assert processors.stop(0) == 0
    assert "cannot be relied on" not in processors.log()
    assert_never_older(world)
    processor = world.cold()
    assert_knows(processor, world)
    processor.close()


def test_a_stopped_owner_that_comes_back_writes_no_older_snapshot(
    world: World, processors: Processors, judge: Judge
) -> None:
    bursts = iter(range(1_000, 2_000))
    processors.start(0, "before snapshots", 20, "stop")
    while not processors.is_suspended(0):
        judge.send(next(bursts), 50)
        wait_until(lambda: processors.is_suspended(0) or judge.all_answered(), "the burst ends")
    before = world.markers()
    processors.start(1)
    for _ in range(4):
        judge.send(next(bursts), 200)
    wait_until(
        lambda: len(after := world.markers()) == PARTITIONS and all(after[each] > before[each] for each in before),
        "the second processor takes snapshots of every partition",
        timeout_s=60,
        pause_s=0.2,
    )
    processors.resume(0)
    ended = processors.running[0]
    wait_until(
        lambda: ended.poll() is not None or "a transaction was aborted" in processors.log(), "the first one is refused"
    )
    judge.send(next(bursts), 200)
    judge.judge()
    assert_never_older(world)
    for slot in processors.running:
        processors.running[slot].kill()
    processor = world.cold()
    assert_knows(processor, world)
    processor.close()
