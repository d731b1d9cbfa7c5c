"""The write side under kill -9, stops and takeovers: whatever happens, the oracle holds."""

import random
import re
import signal
import subprocess
from functools import partial

import pytest

from streams.watchdog import EXIT_STALLED
from tests.faults.judge import Judge
from tests.faults.processes import Processors
from tests.faults.processor_child import STEPS
from tests.waiting import wait_until


def kill_at_steps(steps: list[str], seed: int, processors: Processors, judge: Judge) -> None:
    """Let a processor die at each of the steps in turn, under load, and judge what is left."""
    chance = random.Random(seed)
    for number, step in enumerate(steps):
        child = processors.start(0, step, chance.randrange(1, 4))
        for burst in range(4):
            judge.send(seed * 1_000 + number * 10 + burst, 50)
            # Bursts on their own make several commits, of which the child survives some.
            wait_until(partial(ended_or_answered, child, judge), "the burst ends")
        assert child.poll() == -signal.SIGKILL, f"the processor did not reach {step}: {processors.last_words(0)}"
    processors.start(0)
    judge.judge()


def ended_or_answered(child: "subprocess.Popen[bytes]", judge: Judge) -> bool:
    """Whether the child is dead, or has nothing left to do."""
    return child.poll() is not None or judge.all_answered()


def test_kill_9_at_every_step_of_the_commit(processors: Processors, judge: Judge) -> None:
    kill_at_steps(list(STEPS), 1, processors, judge)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(2, 12))
def test_kill_9_at_every_step_in_any_order(seed: int, processors: Processors, judge: Judge) -> None:
    steps = list(STEPS) * 2
    random.Random(seed).shuffle(steps)
    kill_at_steps(steps, seed, processors, judge)


def test_a_stopped_processor_that_comes_back_writes_nothing_late(processors: Processors, judge: Judge) -> None:
    processors.start(0)
    judge.send(100, 200)
    wait_until(judge.all_answered, "the first processor works")
    processors.suspend(0)
    judge.send(101, 200)
    processors.start(1)
    judge.judge()
    processors.resume(0)
    judge.send(102, 200)
    judge.judge()


def test_a_second_processor_of_the_same_slot_takes_over(processors: Processors, judge: Judge) -> None:
    first = processors.start(0)
    judge.send(200, 200)
    wait_until(judge.all_answered, "the first processor works")
    processors.start(0)
    for burst in range(1, 5):
        judge.send(200 + burst, 100)
    judge.judge()
    wait_until(lambda: first.poll() is not None, "the first processor is fenced and ends")
    assert first.poll() != 0


def test_a_processor_that_hangs_ends_itself(processors: Processors, judge: Judge) -> None:
    hung = processors.start(0, "offsets", 2, "hang")
    judge.send(300, 100)
    wait_until(lambda: bool(judge.answered()), "its first transaction is committed")
    judge.send(301, 100)
    wait_until(lambda: hung.poll() is not None, "its watchdog has ended it", 90)
    assert hung.poll() == EXIT_STALLED
    assert re.search(r"It stood here:\n(.*\n)*MainThread:\n(.*\n)*.* in send_offsets\n", processors.log())
    processors.start(0)
    judge.judge()
