"""Large batches: offsets are told by two reports of many, also where somebody else writes, and rules may be slow."""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from producers.client import Client
from schemas.shop.users import ChangeEmail, CreateUser
from streams.kafka.config import Kafka
from streams.kafka.ends import places_of, settled_ends
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.processor import batch as batch_module
from streams.processor import processor as processor_module
from streams.processor.processor import CommandProcessor
from streams.processor.run import Run
from streams.processor.transactions import Transactions
from tests.log import log_of
from tests.oracle import check_log

COMMANDS = 1_200


def reported(count: int, offsets: list[int], *, each: bool = False) -> Run:
    run = Run(count, [], each=each)
    for offset in offsets:
        run.delivered(None, SimpleNamespace(offset=lambda offset=offset: offset))
    return run


def test_two_reports_tell_all_offsets() -> None:
    assert list(reported(4, [7, 10]).offsets() or ()) == [7, 8, 9, 10]
    assert list(reported(1, [7]).offsets() or ()) == [7]
    assert list(reported(2, [7, 9]).offsets() or ()) == [7, 9]
    assert list(reported(3, [7, 9, 12], each=True).offsets() or ()) == [7, 9, 12]
    assert reported(4, [7, 10]).end == 11


def test_foreign_offsets_between_are_noticed() -> None:
    assert reported(4, [7, 11]).offsets() is None


def test_a_run_that_is_not_delivered_tells_nothing() -> None:
    failures: list[KafkaError] = []
    run = Run(3, failures)
    run.delivered(KafkaError(KafkaError._MSG_TIMED_OUT), None)
    assert not run.is_done
    assert len(failures) == 1
    with pytest.raises(RuntimeError, match="0 of 2 reports"):
        run.offsets()


def write(client: Client, chance: random.Random) -> list[str]:
    """Send commands on a few users, some refused; return their ids."""
    commands = [
        CreateUser(user_id=f"u{chance.randrange(40)}", email="a@b", name="A")
        if chance.random() < 0.1
        else ChangeEmail(user_id=f"u{chance.randrange(40)}", email=f"{number}@b")
        for number in range(COMMANDS)
    ]
    sent = [client.send(each) for each in commands]
    client.flush()
    return sent


@pytest.fixture
def settled(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> Callable[[CommandProcessor, int], None]:
    """Send commands, have them processed, and judge the log."""

    def settle(processor: CommandProcessor, seed: int) -> None:
        sent = write(client, random.Random(seed))
        done = 0
        while done < COMMANDS:
            done += processor.turn()
        processor.close()
        # A commit is answered before its markers are in every partition.
        topics = application.topics(application.aggregate("user"))
        settled_ends(cluster, places_of(cluster, [topics.events, topics.outcomes]))
        check_log(log_of(application, "user", cluster, ids), sent)

    return settle


def test_large_batches_are_exact(
    new_processor: Callable[[int], CommandProcessor], settled: Callable[[CommandProcessor, int], None]
) -> None:
    settled(new_processor(0), 1)


def test_chunks_of_a_few_commands_are_exact(
    new_processor: Callable[[int], CommandProcessor],
    settled: Callable[[CommandProcessor, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_module, "CHUNK_COMMANDS", 7)
    settled(new_processor(0), 2)


def test_slow_rules_make_short_transactions(
    new_processor: Callable[[int], CommandProcessor],
    settled: Callable[[CommandProcessor, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor_module, "DECIDING_S", 0.0)
    monkeypatch.setattr(batch_module, "CHUNK_COMMANDS", 150)
    commits = 0
    original = Transactions.commit

    def counted(self: Transactions) -> None:
        nonlocal commits
        commits += 1
        original(self)

    monkeypatch.setattr(Transactions, "commit", counted)
    settled(new_processor(0), 3)
    assert commits >= COMMANDS / 150


def test_somebody_else_who_writes_in_between_changes_no_offset(
    new_processor: Callable[[int], CommandProcessor],
    settled: Callable[[CommandProcessor, int], None],
    cluster: Kafka,
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Producer(cluster.producer(transactional_id=f"{topic_prefix}.somebody"))
    other.init_transactions()
    original, met = Transactions._put, list[str]()

    def put(self: Transactions, topic: str, partition: int, records: Any, delivered: Any, headers: Any) -> None:
        original(self, topic, partition, records, delivered, headers)
        if topic.endswith(".user.events") and delivered is None and not met:
            self._producer.flush()
            other.begin_transaction()
            other.produce(topic, b"no event", b"somebody", partition=partition)
            other.flush()
            other.abort_transaction()  # nobody sees it, but it has an offset
            met.append(topic)

    monkeypatch.setattr(Transactions, "_put", put)
    processor = new_processor(0)
    settled(processor, 4)
    assert met
    assert not processor._transactions._is_alone
