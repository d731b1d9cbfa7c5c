"""The watchdog's verdict, and what it says of a call that does not return."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.kernel.errors import TransactionAborted
from streams.processor import transactions as module
from streams.processor.ends import Ends
from streams.processor.transactions import Transactions
from streams.watchdog import OVERDUE_S_MAX, Watchdog, standing
from tests.waiting import wait_until


@dataclass(frozen=True)
class Limits:
    stall_s_max: float = 100.0
    stop_s_max: float = 50.0


@pytest.mark.parametrize(
    ("idle_s", "busy_s", "overdue_s", "verdict"),
    [
        (0.0, 0.0, 0.0, None),
        (100.0, 100.0, OVERDUE_S_MAX, None),
        (101.0, 0.0, 0.0, "it has not gone round for 101 s"),
        (0.0, 102.0, 0.0, "one batch has taken 102 s"),
        (0.0, 0.0, 7.0, "a call is 7 s beyond its timeout"),
    ],
)
def test_who_stands_still_for_too_long_is_ended(
    idle_s: float, busy_s: float, overdue_s: float, verdict: str | None
) -> None:
    watchdog = Watchdog("part", Limits(), lambda: idle_s, lambda: busy_s, lambda: overdue_s)
    assert watchdog.verdict(time.monotonic()) == verdict


def test_who_is_being_stopped_may_stand_still_until_it_is_late() -> None:
    watchdog = Watchdog("part", Limits(), lambda: 1000.0)
    watchdog.stopping()
    assert watchdog.verdict(time.monotonic()) is None
    assert watchdog.verdict(time.monotonic() + 51) == "it did not stop within 50 s"


class Stuck:
    """A producer whose offsets are never told, as librdkafka's sometimes are not."""

    def __init__(self) -> None:
        self.freed = threading.Event()

    def send_offsets_to_transaction(self, *_: Any) -> None:
        self.freed.wait()


def test_offsets_that_are_never_told_are_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_TIMEOUT_S", 0.05)
    transactions, stuck = Transactions.__new__(Transactions), Stuck()
    transactions._producer, transactions._telling_since = stuck, None
    assert transactions.overdue_s() == 0.0
    thread = threading.Thread(target=transactions.send_offsets, args=({}, None), name="teller")
    thread.start()
    wait_until(lambda: transactions.overdue_s() > 0.05, "the call is overdue")
    assert "teller:" in standing()
    assert "in send_offsets_to_transaction" in standing()
    stuck.freed.set()
    thread.join()
    assert transactions.overdue_s() == 0.0


class Slow(Stuck):
    """A producer that gives up telling offsets, and takes its time to abort."""

    def __init__(self) -> None:
        super().__init__()
        self.aborting = threading.Event()

    def send_offsets_to_transaction(self, *_: Any) -> None:
        raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION, "gone", txn_requires_abort=True))

    def poll(self, _: float) -> None:
        """There are no reports."""

    def abort_transaction(self, _: float) -> None:
        self.aborting.set()
        self.freed.wait()


def test_the_abort_after_offsets_that_were_refused_is_not_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_TIMEOUT_S", 0.0)
    transactions, slow = Transactions.__new__(Transactions), Slow()
    transactions._producer, transactions._telling_since = slow, None
    transactions._failures, transactions._ends = [], Ends()
    refused: list[Exception] = []

    def tell() -> None:
        try:
            transactions.send_offsets({}, None)
        except TransactionAborted as error:
            refused.append(error)

    thread = threading.Thread(target=tell)
    thread.start()
    assert slow.aborting.wait(10)
    assert transactions.overdue_s() == 0.0
    slow.freed.set()
    thread.join()
    assert len(refused) == 1
