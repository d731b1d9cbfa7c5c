"""Snapshots: who has no local state begins at them and knows what the whole log says, whatever became of them."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from producers.client import Client
from schemas.outcomes import Accepted, Outcome, Status
from schemas.shop.accounts import AccountEvent, OpenAccount
from streams.domain.shop.accounts import Account, evolve
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kafka.topics import check_topics, create_topics, delete_topics
from streams.kernel.application import Application
from streams.kernel.errors import TopicProblem
from streams.kernel.snapshots import MARKER_KEY, Marker, SnapshotCodec
from streams.processor import recovery
from tests.faults.judge import Judge
from tests.fixtures.shop import DEDUPE_WINDOW_S, PARTITIONS, running
from tests.log import read_committed
from tests.processor.snapshot_world import EVERY, Records, World, assert_knows, take_snapshots
from tests.waiting import wait_until

Read = dict[tuple[str, int], list[int]]


@pytest.fixture
def world(application: Application, cluster: Kafka, ids: TopicRegistry, client: Client, tmp_path: Path) -> World:
    return World(application, cluster, ids, Judge(application, cluster, ids, client), tmp_path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """The offsets of the records that recoveries have read, by topic (without the application) and partition."""
    found: Read = defaultdict(list)
    learn = recovery.learn

    def noted(recovering: recovery.Recovering, record: Message) -> None:
        kind = str(record.topic()).partition(".")[2]
        found[kind, int(record.partition() or 0)].append(int(record.offset() or 0))
        learn(recovering, record)

    monkeypatch.setattr(recovery, "learn", noted)
    return found


def offsets(world: World, partition: int) -> list[int]:
    """Return the offsets of a partition's events."""
    records = read_committed(world.cluster, world.events)
    return [int(each.offset() or 0) for each in records if each.partition() == partition]


def test_without_local_state_it_reads_snapshots_and_the_tail(world: World, read: Read) -> None:
    world.snapshotted(1)
    markers = world.markers()
    assert len(markers) == PARTITIONS
    read.clear()
    processor = world.cold()
    for partition, marker in markers.items():
        tail = [each for each in offsets(world, partition) if each >= marker.before]
        assert read["account.events", partition] == tail
        assert len(tail) < EVERY
    assert_knows(processor, world)
    processor.close()
    with running(world.processor()):
        world.judge.send(1, 1_200)  # the same ids again
        world.judge.send(2, 200)
        world.judge.judge()
    read.clear()
    processor = world.processor()
    wait_until(lambda: processor.turn() >= 0 and len(processor.owned) == 2 * PARTITIONS, "all is recovered")
    assert not read  # what began with snapshots is local state like any other
    assert_knows(processor, world)
    processor.close()


def last_snapshot(records: Records) -> bytes:
    return [key for key in records if key != MARKER_KEY][-1]


def flipped(value: bytes | None) -> bytes:
    found = bytearray(value or b"")
    found[-3] ^= 1
    return bytes(found)


Damage = Callable[[Records, SnapshotCodec], Records]
DAMAGES: Sequence[Damage] = (
    lambda records, _: {key: value for key, value in records.items() if key != last_snapshot(records)},
    lambda records, _: {**records, last_snapshot(records): flipped(records[last_snapshot(records)])},
    lambda records, _: {**records, last_snapshot(records): None},
    lambda records, codec: {**records, last_snapshot(records): older(last_snapshot(records), records, codec)},
    lambda records, _: {key: value for key, value in records.items() if key != MARKER_KEY},
    lambda records, _: {**records, MARKER_KEY: flipped(records[MARKER_KEY])},
    lambda records, codec: {**records, MARKER_KEY: codec.encode_marker(Marker(10**6, 10**6))},
    lambda records, codec: {**records, MARKER_KEY: codec.encode_marker(Marker(0, 10**6))},
)


def older(key: bytes, records: Records, codec: SnapshotCodec) -> bytes:
    """Return the snapshot of one version before, as a zombie could have left it."""
    snapshot = codec.decode(key, records[key] or b"")
    assert snapshot is not None
    return codec.encode(key, snapshot.known._replace(version=snapshot.known.version - 1), snapshot.before - 1)


@pytest.mark.parametrize("damages", [DAMAGES[:PARTITIONS], DAMAGES[PARTITIONS:]], ids=["snapshots", "markers"])
def test_damaged_snapshots_are_rebuilt_from_the_log(damages: Sequence[Damage], world: World, read: Read) -> None:
    world.snapshotted(3)
    latest, codec = world.latest(), world.codec
    world.rewrite({partition: damages[partition](latest[partition], codec) for partition in range(PARTITIONS)})
    read.clear()
    processor = world.cold()
    for partition in range(PARTITIONS):
        assert read["account.events", partition][-len(offsets(world, partition)) :] == offsets(world, partition)
    assert_knows(processor, world)
    take_snapshots(processor)  # of everything, so that the damage is gone
    read.clear()
    processor = world.cold()
    for partition, marker in world.markers().items():
        assert min(read["account.events", partition], default=marker.before) >= marker.before
    assert_knows(processor, world)
    processor.close()


def test_it_begins_at_what_compaction_leaves(world: World, read: Read) -> None:
    world.snapshotted(4)
    _configure(world.cluster, world.snapshots, {"segment.ms": "50", "min.cleanable.dirty.ratio": "0.001"})
    before = world.places()
    for seed in (5, 6):
        world.snapshotted(seed)  # Kafka closes a segment when it writes to it again
    wait_until(
        lambda: {partition for partition, _ in before - world.places()} == set(range(PARTITIONS)),
        "Kafka has compacted every partition",
        timeout_s=120,
        pause_s=0.5,
    )
    read.clear()
    processor = world.cold()
    for partition, marker in world.markers().items():
        assert min(read["account.events", partition], default=marker.before) >= marker.before
    assert_knows(processor, world)
    processor.close()


def _configure(cluster: Kafka, topic: str, settings: dict[str, str]) -> None:
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in settings.items()]
    admin = AdminClient(cluster.admin())  # kept: its futures die with it
    changes = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)]
    for future in admin.incremental_alter_configs(changes).values():
        future.result(30)


def _evolve(account: Account, event: AccountEvent) -> Account:
    """The same fold by other code: nobody can know that it is the same."""
    return evolve(account, event)


def test_snapshots_of_other_code_are_of_no_use(world: World, read: Read) -> None:
    user, account = world.application.aggregates
    changed = replace(
        world.application, aggregates=[user, replace(account, evolve=_evolve)], projections=[], process_managers=[]
    )
    world.snapshotted(11)
    for code in (changed, world.application, changed):
        read.clear()
        processor = world.cold(code)
        for partition in range(PARTITIONS):
            assert read["account.events", partition] == offsets(world, partition)
        assert_knows(processor, world)
        take_snapshots(processor)  # its own replace the other code's, and are of use to it
        read.clear()
        processor = world.cold(code)
        assert_knows(processor, world)
        assert sum(len(read["account.events", partition]) for partition in range(PARTITIONS)) < PARTITIONS * EVERY
        processor.close()


def test_snapshots_of_another_topic_of_the_name_are_of_no_use(world: World, client: Client) -> None:
    world.snapshotted(12)
    topics = world.application.topics(world.application.aggregate("account"))
    names = [topics.commands, topics.events, topics.outcomes]
    delete_topics(world.cluster, names)
    create_topics(world.cluster, {name: {} for name in names}, PARTITIONS, 1)
    assert world.latest()
    processor = world.cold()
    with running(processor):
        assert isinstance(client.ask(OpenAccount(account_id="a1"), expected_version=0), Accepted)


class Secret(str):
    """What JSON makes a plain text of."""

    __slots__ = ()


def _secretive(account: Account, event: AccountEvent) -> Account:
    return evolve(account, event).but(account_id=Secret("secret"))


def test_a_state_that_is_not_exact_has_no_snapshots(world: World, caplog: pytest.LogCaptureFixture) -> None:
    user, account = world.application.aggregates
    changed = replace(
        world.application, aggregates=[user, replace(account, evolve=_secretive)], projections=[], process_managers=[]
    )
    processor = world.processor(0, changed)
    with caplog.at_level(logging.WARNING), running(processor):
        world.judge.send(13, 400)
        wait_until(world.judge.all_answered, "all is answered")
        wait_until(lambda: "account has no snapshots" in caplog.text, "it says so")
    assert caplog.text.count("account has no snapshots") == 1
    assert not read_committed(world.cluster, world.snapshots)


@pytest.fixture
def outcome_of_last_month(world: World) -> None:
    """An outcome that is older than the dedupe window, at the beginning of each partition."""
    aggregate = world.application.aggregate("account")
    codec = world.application.outcome_codec(aggregate, world.ids)
    # The broker would take it away, at whichever moment it looks for what is too old.
    _configure(world.cluster, world.application.topics(aggregate).outcomes, {"retention.ms": "-1"})
    producer = Producer(world.cluster.producer())
    for partition in range(PARTITIONS):
        old = Outcome(f"old-{partition}", "Old", Status.REJECTED, 1, None, [], None, None, None, "c", 1)
        producer.produce(world.application.topics(aggregate).outcomes, codec.encode(old), b"a", partition, timestamp=1)
    assert producer.flush(30) == 0


@pytest.mark.usefixtures("outcome_of_last_month")
def test_outcomes_older_than_the_window_are_not_read(world: World, read: Read) -> None:
    world.snapshotted(14)
    read.clear()
    processor = world.cold()
    records = read_committed(world.cluster, f"{world.application.name}.account.outcomes")
    for partition in range(PARTITIONS):
        there = [int(each.offset() or 0) for each in records if each.partition() == partition]
        assert there[0] == 0
        assert read["account.outcomes", partition] == there[1:]
    processor.close()


def test_a_snapshots_topic_that_is_not_compacted_is_refused(world: World) -> None:
    check_topics(world.cluster, world.application, PARTITIONS, DEDUPE_WINDOW_S)
    for policy in ("delete", "compact,delete"):
        _configure(world.cluster, world.snapshots, {"cleanup.policy": policy})
        with pytest.raises(TopicProblem, match=rf"account.snapshots has cleanup.policy={policy}: set it to compact"):
            check_topics(world.cluster, world.application, PARTITIONS, DEDUPE_WINDOW_S)
