"""The write side under kill -9, stops and takeovers: whatever happens, the oracle holds."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from producers.client import Client
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from tests.faults.load import send
from tests.faults.processor_child import STEPS
from tests.fixtures.shop import PARTITIONS
from tests.log import events_of, outcomes_of
from tests.oracle import check_log
from tests.waiting import wait_until

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(application: Application, kafka: str, tmp_path: Path) -> Iterator[Start]:
    """Start processors as child processes: `start(slot, step, commits)`; all of them end with the test."""
    children: list[subprocess.Popen[bytes]] = []

    def start_one(slot: int, *fault: object) -> "subprocess.Popen[bytes]":
        arguments = [application.name, kafka, PARTITIONS, tmp_path / str(slot), slot, *fault]
        with (tmp_path / f"processor-{len(children)}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.processor_child", *map(str, arguments)], stdout=log, stderr=log
            )
        children.append(child)
        return child

    yield start_one
    for child in children:
        child.kill()
        child.wait()


class Judge:
    """Waits until every command is answered, and holds the oracle against the log."""

    def __init__(self, application: Application, cluster: Kafka, ids: SchemaIds) -> None:
        self.application, self.cluster, self.ids = application, cluster, ids

    def answered(self) -> set[str]:
        """Return the ids of the commands that have a committed outcome."""
        found = outcomes_of(self.application, "account", self.cluster, self.ids)
        return {each.outcome.command_id for each in found}

    def judge(self, asked: set[str], timeout_s: float = 60.0) -> None:
        """Wait for the answers, then check the whole log."""
        wait_until(lambda: asked <= self.answered(), f"all {len(asked)} commands are answered", timeout_s, pause_s=0.3)
        events = events_of(self.application, "account", self.cluster, self.ids)
        check_log(events, outcomes_of(self.application, "account", self.cluster, self.ids), asked)


@pytest.fixture
def judge(application: Application, cluster: Kafka, ids: SchemaIds) -> Judge:
    """The judge of this test's log."""
    return Judge(application, cluster, ids)


def kill_at_steps(steps: list[str], seed: int, start: Start, client: Client, judge: Judge) -> None:
    """Let a processor die at each of the steps in turn, under load, and judge what is left."""
    chance = random.Random(seed)
    asked: set[str] = set()
    for number, step in enumerate(steps):
        child = start(0, step, chance.randrange(1, 4))
        for burst in range(4):
            asked |= send(client, seed * 1_000 + number * 10 + burst, 50)
            # Bursts on their own make several commits, of which the child survives some.
            wait_until(partial(ended_or_answered, child, asked, judge), "the burst ends", 30, 0.1)
        assert child.poll() == -signal.SIGKILL, f"the processor did not reach {step}"
    start(0)
    judge.judge(asked)


def ended_or_answered(child: "subprocess.Popen[bytes]", asked: set[str], judge: Judge) -> bool:
    """Whether the child is dead, or has nothing left to do."""
    return child.poll() is not None or asked <= judge.answered()


def test_kill_9_at_every_step_of_the_commit(start: Start, client: Client, judge: Judge) -> None:
    kill_at_steps(list(STEPS), 1, start, client, judge)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(2, 12))
def test_kill_9_at_every_step_in_any_order(seed: int, start: Start, client: Client, judge: Judge) -> None:
    steps = list(STEPS) * 2
    random.Random(seed).shuffle(steps)
    kill_at_steps(steps, seed, start, client, judge)


def test_a_stopped_processor_that_comes_back_writes_nothing_late(start: Start, client: Client, judge: Judge) -> None:
    zombie = start(0)
    asked = send(client, 100, 200)
    wait_until(lambda: asked <= judge.answered(), "the first processor works")
    os.kill(zombie.pid, signal.SIGSTOP)
    asked |= send(client, 101, 200)
    start(1)
    judge.judge(asked)
    os.kill(zombie.pid, signal.SIGCONT)
    asked |= send(client, 102, 200)
    judge.judge(asked)


def test_a_second_processor_of_the_same_slot_takes_over(start: Start, client: Client, judge: Judge) -> None:
    first = start(0)
    asked = send(client, 200, 200)
    wait_until(lambda: asked <= judge.answered(), "the first processor works")
    start(0)
    for burst in range(1, 5):
        asked |= send(client, 200 + burst, 100)
    judge.judge(asked)
    wait_until(lambda: first.poll() is not None, "the first processor is fenced and ends")
    assert first.poll() != 0
