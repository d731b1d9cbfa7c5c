"""A long open transaction of somebody else's, while others commit: nothing is skipped, and nothing waits for ever."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.metadata import CommandMetadata
from schemas.registry import SchemaIds
from schemas.shop.accounts import OpenAccount
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.kernel.partitioner import partition_of
from streams.processor.processor import CommandProcessor
from tests.faults.foreign import End, Foreign
from tests.faults.judge import Judge
from tests.faults.processes import Processors
from tests.fixtures.shop import PARTITIONS, running
from tests.log import events_of
from tests.waiting import wait_until

NewProcessor = Callable[[int], CommandProcessor]
HERE = 0  # the partition with the open transaction
AT_HERE, ELSEWHERE = (
    next(f"b{n}" for n in range(100) if (partition_of(f"b{n}".encode(), PARTITIONS) == HERE) is here)
    for here in (True, False)
)


@pytest.mark.parametrize("end", End)
@pytest.mark.usefixtures("processor")
def test_commands_behind_an_open_transaction_are_decided_after_it_in_order(
    end: End, judge: Judge, application: Application, cluster: Kafka, ids: SchemaIds
) -> None:
    foreign = Foreign(cluster, end)
    topic, codec = f"{application.name}.account.commands", application.command_codec(application.aggregates[1], ids)
    first = codec.encode(OpenAccount(account_id=AT_HERE), CommandMetadata("foreign", expected_version=0))
    assert foreign.write(topic, AT_HERE.encode(), first) == HERE
    behind = judge.client.send(OpenAccount(account_id=AT_HERE), command_id="behind", expected_version=0)
    judge.send(500, 200)
    elsewhere = judge.client.send(OpenAccount(account_id=ELSEWHERE), command_id="elsewhere")
    judge.client.flush()

    wait_until(lambda: elsewhere in judge.answered(), "the other partitions go on")
    if end is not End.TIMEOUT:
        assert behind not in judge.answered()
    foreign.end()
    judge.judge("behind", "elsewhere", *(["foreign"] if end is End.COMMIT else []))
    events = events_of(application, "account", cluster, ids)
    opened = next(each for each in events if each.event.aggregate_id == AT_HERE)
    assert opened.metadata.command_id == ("foreign" if end is End.COMMIT else "behind")


@pytest.mark.parametrize(("kind", "end"), [("events", End.ABORT), ("outcomes", End.TIMEOUT)])
def test_a_partition_is_not_owned_while_a_transaction_is_open_on_its_log(
    kind: str,
    end: End,
    new_processor: NewProcessor,
    judge: Judge,
    application: Application,
    cluster: Kafka,
    tmp_path: Path,
) -> None:
    """Its log cannot be read to the end, so nobody can know what was decided; the other partitions go on."""
    with running(new_processor(0)):
        judge.send(510, 200)
        judge.judge()
    foreign = Foreign(cluster, end)
    foreign.write(f"{application.name}.account.{kind}", b"key", b"rubbish", HERE)
    judge.send(511, 200)
    shutil.rmtree(tmp_path / "0")  # nothing but the log to know from
    with running(new_processor(0)) as processor:
        wait_until(lambda: len(processor.owned) >= 2 * PARTITIONS - 1, "the other partitions are owned")
        if end is not End.TIMEOUT:
            assert len(processor.owned) == 2 * PARTITIONS - 1
        foreign.end()
        judge.judge()
        assert len(processor.owned) == 2 * PARTITIONS


@pytest.mark.parametrize(
    "step",
    [
        "outcomes",
        pytest.param("flush", marks=pytest.mark.faults_campaign),
        pytest.param("commit", marks=pytest.mark.faults_campaign),
    ],
)
def test_another_slot_waits_for_the_transaction_that_a_killed_one_left_open(
    step: str, processors: Processors, judge: Judge
) -> None:
    """Its own successor would end it at once; another slot has to wait for its timeout, and then knows everything."""
    dying = processors.start(0, step, 1)
    judge.send(520, 200)
    wait_until(lambda: dying.poll() is not None, "it dies in its transaction")
    judge.send(521, 200)
    processors.start(1)
    judge.judge()
