"""Local state: a restart goes on from it; missing, stale or corrupt, it is rebuilt from the log to the same answers."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Message
from rocksdict import Options, Rdict

from producers.client import Client
from schemas.outcomes import Accepted, Rejected, VersionConflict
from schemas.shop.users import ChangeEmail, CreateUser, UserEvent, UserProblem
from streams.domain.shop.users import User, evolve
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.kernel.errors import LocalStateUnreadable
from streams.kernel.processing import Known, Work
from streams.processor import recovery
from streams.processor.local_state import BUCKET_MS, LocalState, Remembered
from streams.processor.memory import PartitionMemory
from streams.processor.processor import CommandProcessor
from tests.fixtures.shop import PARTITIONS, running

STAMP = {"fingerprint": "1", "events": "e", "outcomes": "o"}
USERS = [CreateUser(user_id=f"u{number}", email="a@b", name="") for number in range(20)]
NewProcessor = Callable[[int], CommandProcessor]


@pytest.fixture
def records_read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The records of the log that recoveries have read."""
    read: list[object] = []
    learn = recovery.learn

    def counted(recovering: recovery.Recovering, record: Message) -> None:
        read.append(record)
        learn(recovering, record)

    monkeypatch.setattr(recovery, "learn", counted)
    return read


def ask_all(client: Client, processor: CommandProcessor) -> None:
    with running(processor):
        for user in USERS:
            assert isinstance(client.ask(user, command_id=f"create-{user.user_id}"), Accepted)


def assert_all_known(client: Client, processor: CommandProcessor) -> None:
    """A new owner gives the old answers, and knows each aggregate's version."""
    with running(processor):
        for user in USERS:
            assert isinstance(client.ask(user, command_id=f"create-{user.user_id}"), Accepted)
            assert client.ask(user) == Rejected(UserProblem.ALREADY_EXISTS)
            assert isinstance(client.ask(ChangeEmail(user_id=user.user_id, email="c@d"), expected_version=1), Accepted)


def test_a_restart_reads_only_what_its_local_state_lacks(
    client: Client, new_processor: NewProcessor, records_read: list[object]
) -> None:
    ask_all(client, new_processor(0))
    records_read.clear()
    assert_all_known(client, new_processor(0))
    assert not records_read


def test_without_local_state_everything_is_read_from_the_log(
    client: Client, new_processor: NewProcessor, tmp_path: Path, records_read: list[object]
) -> None:
    ask_all(client, new_processor(0))
    shutil.rmtree(tmp_path / "0")
    assert_all_known(client, new_processor(0))
    assert len(records_read) == 2 * len(USERS)


def test_corrupt_local_state_is_rebuilt(client: Client, new_processor: NewProcessor, tmp_path: Path) -> None:
    ask_all(client, new_processor(0))
    for path in (tmp_path / "0").rglob("*"):
        if path.is_file() and path.name != "LOCK":
            path.write_bytes(b"rubbish" * 100)
    assert_all_known(client, new_processor(0))


def test_local_state_that_the_log_contradicts_is_rebuilt(
    client: Client, new_processor: NewProcessor, tmp_path: Path
) -> None:
    ask_all(client, new_processor(0))
    with running(new_processor(1)):
        client.ask(ChangeEmail(user_id="u0", email="b@c"), expected_version=1)
    assert sum(forgotten(path, "u0") for path in (tmp_path / "0").iterdir()) == 1
    with running(new_processor(0)):
        conflict = client.ask(ChangeEmail(user_id="u0", email="d@e"), expected_version=1)
        assert conflict == Rejected(VersionConflict(expected=1, actual=2))


def forgotten(path: Path, aggregate_id: str) -> bool:
    """Take an aggregate out of a state in which it is; return whether it was."""
    database, key = Rdict(str(path), Options(raw_mode=True)), b"s" + aggregate_id.encode()
    was_there = database.get(key) is not None
    database.delete(key)
    database.close()
    return was_there


def test_local_state_of_other_code_is_rebuilt(
    client: Client,
    new_processor: NewProcessor,
    application: Application,
    cluster: Kafka,
    ids: TopicRegistry,
    tmp_path: Path,
    records_read: list[object],
) -> None:
    ask_all(client, new_processor(0))
    user, account = application.aggregates
    changed = replace(
        application, aggregates=[replace(user, evolve=_evolve), account], projections=[], process_managers=[]
    )
    records_read.clear()
    assert_all_known(client, CommandProcessor(changed, cluster, ids, PARTITIONS, tmp_path / "0"))
    assert len(records_read) == 2 * len(USERS)


def _evolve(user: User, event: UserEvent) -> User:
    """The same fold by other code: nobody can know that it is the same."""
    return evolve(user, event)


def test_a_second_process_of_the_slot_leaves_the_first_ones_state_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = LocalState(tmp_path / "state", STAMP)
    first.write({"a": Known("state", 1)}, {}, {("t", 0): 5})
    with caplog.at_level(logging.WARNING):
        second = LocalState(tmp_path / "state", STAMP)
    assert second.position == {}
    assert first.known("a") == Known("state", 1)
    assert "in use" in caplog.text
    first.close()
    second.close()


def damaged(path: Path, offset: int) -> None:
    """Make a state of many blocks, and change a byte of its table."""
    made = LocalState(path, STAMP)
    made.write({f"k{number:04}": Known(str(number) * 50, 1) for number in range(1_000)}, {}, {("t", 0): 5})
    made.close()
    LocalState(path, STAMP).close()  # which moves the log of writes into a table
    [table] = path.glob("*.sst")
    data = bytearray(table.read_bytes())
    data[offset] ^= 1
    table.write_bytes(data)


def test_damage_that_is_found_later_ends_the_process_and_the_next_one_rebuilds(tmp_path: Path) -> None:
    damaged(tmp_path / "state", 10_000)
    first = LocalState(tmp_path / "state", STAMP)
    assert first.position == {("t", 0): 5}
    with pytest.raises(LocalStateUnreadable, match="rebuilt from the log at the next start"):
        [first.known(f"k{number:04}") for number in range(1_000)]
    first.close()
    second = LocalState(tmp_path / "state", STAMP)
    assert (second.position, second.known("k0000")) == ({}, None)
    second.close()


def test_a_damaged_block_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    damaged(tmp_path / "state", 20)
    opened = LocalState(tmp_path / "state", STAMP)
    assert opened.position == {}
    opened.close()
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_an_outcome_is_forgotten_after_the_window_by_its_recorded_time(tmp_path: Path) -> None:
    memory = PartitionMemory(LocalState(tmp_path / "state", STAMP), dedupe_window_ms=1_000)
    old, new = Remembered(BUCKET_MS - 500, b"1"), Remembered(BUCKET_MS + 400, b"2")
    memory.commit(Work(0, memory), {"old": old, "new": new}, {("o", 0): 2}, 0)
    for _ in range(2):
        memory.advance(now_ms=BUCKET_MS + 1_001)
        assert (memory.outcome("old"), memory.outcome("new")) == (None, b"2")
        memory.close()
        memory = PartitionMemory(LocalState(tmp_path / "state", STAMP), dedupe_window_ms=1_000)
    memory.close()
    reopened = LocalState(tmp_path / "state", STAMP)
    assert reopened.outcome("old") is None
    assert reopened.outcome("new") == new
    reopened.close()
