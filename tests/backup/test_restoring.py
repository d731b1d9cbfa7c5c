"""From a running application into files, and from the files into an empty cluster, where it goes on."""

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Producer

from infra.backing_up import check_files
from producers.client import Client
from schemas.outcomes import Accepted, Rejected
from schemas.shop.accounts import OpenAccount
from schemas.shop.users import CreateUser
from streams.backup.comparing import check_equal
from streams.backup.errors import DamagedBackup, NotEmpty, NotEqual, WrongFolder
from streams.backup.folder import Folder
from streams.backup.making import make
from streams.backup.manifest import Manifest
from streams.backup.restoring import restore
from streams.domain.shop.accounts import account
from streams.kafka.config import Kafka
from streams.kafka.ends import marks_of, places_of
from streams.kafka.registry import TopicRegistry
from streams.kafka.topics import check_topics, create_topics, declared_topics, existing_topics, topic_ids
from streams.kernel.application import Application
from streams.kernel.errors import TopicProblem
from streams.postgres.setup import prepare
from streams.processor.processor import CommandProcessor
from streams.worker.beginning import begin
from tests.backup.child import SEGMENT_BYTES
from tests.backup.traffic import Traffic, decided
from tests.fixtures.shop import DEDUPE_WINDOW_S, PARTITIONS, running
from tests.log import dead_letters_of, events_of, log_of, outcomes_of, read_committed
from tests.oracle import check_log
from tests.waiting import wait_until
from tests.worker.world import Workers, World, check_exact

ADA = CreateUser(user_id="ada", email="ada@example.org", name="Ada")


def restored(
    application: Application, cluster: Kafka, folder: Folder, on_progress: Callable[[int, int], None] | None = None
) -> Manifest:
    return restore(
        application, cluster, folder, replication_factor=1, dedupe_window_s=DEDUPE_WINDOW_S,
        on_progress=on_progress or (lambda _done, _total: None),
    )  # fmt: skip


def judged(application: Application, cluster: Kafka, ids: TopicRegistry) -> tuple[int, int]:
    """Hold a log against the oracle; return how many accounts' commands and events it has."""
    logs = [log_of(application, name, cluster, ids) for name in ("user", "account")]
    for log in logs:
        check_log(log, [each.command_id for each in log.commands])
    return sum(len(log.commands) for log in logs), sum(len(log.events) for log in logs)


@pytest.mark.usefixtures("processor")
def test_a_backup_under_live_writes_goes_on_elsewhere(
    application: Application,
    cluster: Kafka,
    client: Client,
    ids: TopicRegistry,
    traffic: Traffic,
    empty_cluster: Kafka,
    database: str,
    tmp_path: Path,
) -> None:
    ada = client.ask(ADA, command_id="ada-1")
    refused = client.ask(ADA, command_id="ada-2")
    traffic.some()
    told: list[tuple[int, int]] = []
    with traffic.going_on():
        before = traffic.count
        wait_until(lambda: traffic.count > before + 1_000, "traffic")
        folder = Folder(tmp_path / "backup")
        made = make(
            application, cluster, ids, folder, segment_bytes=20_000, on_progress=lambda *each: told.append(each)
        )
        after = traffic.count
        wait_until(lambda: traffic.count > after, "traffic goes on")
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert check_files(folder.path, lambda _done, _total: None) == made

    counted: list[tuple[int, int]] = []
    restored(application, empty_cluster, folder, lambda *each: counted.append(each))
    assert counted[-1] == (2 * made.records, 2 * made.records)
    check_topics(empty_cluster, application, PARTITIONS, DEDUPE_WINDOW_S)
    for topic in made.topics:
        if topic.keeps_offsets:
            ends = {each.offset() for each in read_committed(empty_cluster, topic.name)}
            assert ends <= {each.offset() for each in read_committed(cluster, topic.name)}
    with TopicRegistry(empty_cluster) as there:
        here = CommandProcessor(application, empty_cluster, there, PARTITIONS, tmp_path / "state")
        with running(here), Client(application.contracts, empty_cluster, there) as asking:
            wait_until(lambda: decided(application, empty_cluster), "what was not decided is decided")
            again = asking.ask(ADA, command_id="ada-1")
            assert isinstance(ada, Accepted)
            assert isinstance(again, Accepted)
            assert (again.result, again.version, again.event_ids) == (ada.result, ada.version, ada.event_ids)
            assert asking.ask(ADA, command_id="ada-2") == refused
            assert isinstance(refused, Rejected)
            assert isinstance(asking.ask(OpenAccount(account_id="new")), Accepted)
            # One that has no id gets another than those before the backup got.
            more = Traffic(application, empty_cluster, there)
            more.count = traffic.count + 1_000
            more.some()
            more.close()
            wait_until(lambda: decided(application, empty_cluster), "what is new is decided")
        commands, events = judged(application, empty_cluster, there)
        assert commands > 2_000
        assert events > 1_000
        assert {each.reason for each in dead_letters_of(application, empty_cluster)} == {
            each.reason for each in dead_letters_of(application, cluster)
        }
        assert list(dead_letters_of(application, empty_cluster)[0].headers) == [
            ("traceparent", b"00-1"),
            ("empty", None),
        ]
        rows_are_the_fold(application, empty_cluster, database, there, tmp_path)


def rows_are_the_fold(application: Application, cluster: Kafka, dsn: str, ids: TopicRegistry, folder: Path) -> None:
    """Start a worker on the restored log, and compare its rows with a fold of the log."""
    prepare(dsn, application)
    begin(cluster, dsn, application)
    world = World(application, cluster, dsn, ids)
    for each in events_of(application, "account", cluster, ids):
        world.committed.append(each)
        world.ends[world.topic, each.partition] = each.offset + 1
    workers = Workers(world, folder)
    try:
        workers.start("w")
        workers.until(world.caught_up)
        check_exact(world)
    finally:
        workers.close()


def has_lines(path: Path, least: int) -> bool:
    return path.exists() and len(path.read_bytes().splitlines()) > least


@pytest.mark.usefixtures("processor")
def test_a_backup_that_was_killed_is_finished(
    application: Application, cluster: Kafka, ids: TopicRegistry, traffic: Traffic, tmp_path: Path
) -> None:
    for _ in range(20):
        traffic.some()
    wait_until(lambda: decided(application, cluster), "every command is decided")
    folder, written = Folder(tmp_path / "backup"), tmp_path / "backup" / "written"
    arguments = [application.name, cluster.bootstrap_servers, str(folder.path)]
    for lines in (5, 60):
        process = subprocess.Popen([sys.executable, "-m", "tests.backup.child", *arguments])
        try:
            wait_until(partial(has_lines, written, lines), "some segments are there")
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
        with pytest.raises(WrongFolder, match="unfinished backup"):
            folder.manifest()
    traffic.some()
    finished = make(application, cluster, ids, folder, segment_bytes=SEGMENT_BYTES)
    assert {each.name for each in folder.path.iterdir()} == {
        "manifest", *(each.name for each in finished.topics if any(part.segments for part in each.partitions))
    }  # fmt: skip
    check_files(folder.path, lambda _done, _total: None)

    class Interrupted(Exception):
        """What Ctrl-C is, to the backup."""

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise Interrupted

    second = Folder(tmp_path / "second")
    with pytest.raises(Interrupted):
        make(application, cluster, ids, second, segment_bytes=SEGMENT_BYTES, on_progress=interrupt)
    resumed = make(application, cluster, ids, second, segment_bytes=SEGMENT_BYTES)
    whole = make(application, cluster, ids, Folder(tmp_path / "whole"), segment_bytes=SEGMENT_BYTES)
    wait_until(lambda: decided(application, cluster), "every command is decided")
    events = [topic for topic in whole.topics if topic.kind == "events"]
    for topic in events:
        [found] = [each for each in resumed.topics if each.name == topic.name]
        for mine, other in zip(found.partitions, topic.partitions, strict=True):
            assert mine.segments[:-1] == other.segments[: len(mine.segments) - 1]
    with pytest.raises(WrongFolder, match="is a whole backup already"):
        make(application, cluster, ids, second)


def test_an_interrupted_restore_starts_over_and_nothing_starts_on_it(
    application: Application, backup: Folder, empty_cluster: Kafka
) -> None:
    for tenth in (2, 9):

        def interrupt(done: int, total: int, tenth: int = tenth) -> None:
            if done > total * tenth // 10:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            restored(application, empty_cluster, backup, interrupt)
        with pytest.raises(TopicProblem, match="not wholly restored: run `kafold restore` again"):
            check_topics(empty_cluster, application, PARTITIONS, DEDUPE_WINDOW_S)
    manifest = restored(application, empty_cluster, backup)
    check_equal(empty_cluster, manifest)
    assert f"{application.name}.restoring" not in existing_topics(empty_cluster)


def test_what_is_in_the_cluster_is_left_alone(
    application: Application, backup: Folder, cluster: Kafka, empty_cluster: Kafka
) -> None:
    places = places_of(cluster, declared_topics(application, DEDUPE_WINDOW_S))
    before = marks_of(cluster, places)
    with pytest.raises(NotEmpty, match=f"has a topic {application.name}.*nothing was restored"):
        restored(application, cluster, backup)
    assert marks_of(cluster, places) == before
    assert f"{application.name}.restoring" not in existing_topics(cluster)

    producer = Producer(empty_cluster.producer())
    create_topics(empty_cluster, {"_schemas": {"cleanup.policy": "compact"}}, 1, 1)
    producer.produce("_schemas", b"{}", b"somebody else's")
    assert producer.flush(30) == 0
    with pytest.raises(NotEmpty, match="has a topic _schemas already"):
        restored(application, empty_cluster, backup)


def test_a_difference_is_named(application: Application, backup: Folder, empty_cluster: Kafka) -> None:
    manifest = restored(application, empty_cluster, backup)
    check_equal(empty_cluster, manifest)
    for kind, said in (("events", "has more records"), ("commands", "has more records|not those")):
        [topic, *_] = [each.name for each in manifest.topics if each.kind == kind]
        producer = Producer(empty_cluster.producer())
        producer.produce(topic, b"one more", b"k", partition=1)
        producer.flush()
        only = manifest.model_copy(update={"topics": [each for each in manifest.topics if each.name == topic]})
        with pytest.raises(NotEqual, match=rf"{topic}\[1\].*({said})"):
            check_equal(empty_cluster, only)


def test_a_damaged_file_ends_a_restore_and_is_named(
    application: Application, backup: Folder, empty_cluster: Kafka
) -> None:
    [(place, *_), *_] = [each for each in backup.manifest().places() if len(each[2].segments) > 1]
    path = backup.segment(place, 1)
    data = path.read_bytes()
    path.write_bytes(data[:-4] + b"oops")
    with pytest.raises(DamagedBackup, match=f"{path} is not as it was written"):
        check_files(backup.path, lambda _done, _total: None)
    with pytest.raises(DamagedBackup, match=f"{path} is not as it was written"):
        restored(application, empty_cluster, backup)
    path.write_bytes(data)
    restored(application, empty_cluster, backup)


def test_positions_of_the_old_cluster_mean_nothing_in_the_new_one(
    application: Application, backup: Folder, cluster: Kafka, empty_cluster: Kafka
) -> None:
    restored(application, empty_cluster, backup)
    topic = application.topics(account).outcomes
    assert topic_ids(cluster, [topic]) != topic_ids(empty_cluster, [topic])
    with TopicRegistry(empty_cluster) as there:
        offsets = [each.outcome.offsets for each in outcomes_of(application, "account", empty_cluster, there)]
        assert max(map(len, offsets)) > 0
        judged(application, empty_cluster, there)
