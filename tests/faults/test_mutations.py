"""Mutations: with a protection switched off, the oracle goes red. So it would see if one failed."""

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from producers.client import Client
from schemas.shop.accounts import OpenAccount, RecordPurchase
from streams.kafka.config import Kafka
from streams.kernel.errors import Fenced
from streams.kernel.processing import Processing, Work
from streams.processor.processor import CommandProcessor
from streams.processor.transactions import Transactions
from tests.faults.judge import Judge
from tests.faults.load import DAY
from tests.fixtures.shop import running
from tests.waiting import wait_until

OPEN = OpenAccount(account_id="ada")
PURCHASE = RecordPurchase(account_id="ada", purchase_id="p", day=DAY, quantity=1, amount_cents=100)
NewProcessor = Callable[[int], CommandProcessor]


def test_without_dedupe_the_oracle_goes_red(
    new_processor: NewProcessor, client: Client, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Work, "answered", lambda self, command_id: None)
    with running(new_processor(0)):
        client.ask(OPEN, command_id="open")
        client.ask(PURCHASE, command_id="same")
        client.ask(PURCHASE, command_id="same")
        with pytest.raises(AssertionError, match="same has two outcomes"):
            judge.judge("open", "same")


def test_without_the_version_check_the_oracle_goes_red(
    new_processor: NewProcessor, client: Client, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Processing._decide

    def unchecked(self: Processing, known: Any, command: Any, key: str, metadata: Any, *rest: Any) -> Any:
        return decide(self, known, command, key, metadata._replace(expected_version=None), *rest)

    monkeypatch.setattr(Processing, "_decide", unchecked)
    with running(new_processor(0)):
        client.ask(OPEN, command_id="open")
        for name in "pq":
            rival = PURCHASE.model_copy(update={"purchase_id": name})
            client.ask(rival, command_id=name, expected_version=1)
        with pytest.raises(AssertionError, match=r"otherwise than the reference.*CONFLICT.*ACCEPTED"):
            judge.judge("open", *"pq")


def test_without_fencing_the_oracle_goes_red(
    new_processor: NewProcessor, client: Client, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor stops with a batch decided, another takes its slot, then the first one goes on."""
    stopped, go_on, committed = threading.Event(), threading.Event(), threading.Event()
    make, begin = Transactions.__init__, Transactions.begin

    def unfenced(self: Transactions, kafka: Kafka, transactional_id: str) -> None:
        make(self, kafka, f"{transactional_id}.{uuid.uuid4().hex}")

    def stopping(self: Transactions) -> None:
        if not stopped.is_set():
            stopped.set()
            go_on.wait(60)
        begin(self)

    def commit(self: Transactions) -> None:
        self._producer.commit_transaction(10)
        if go_on.is_set():
            committed.set()

    monkeypatch.setattr(Transactions, "__init__", unfenced)
    monkeypatch.setattr(Transactions, "begin", stopping)
    monkeypatch.setattr(Transactions, "send_offsets", lambda *_: None)
    monkeypatch.setattr(Transactions, "commit", commit)
    client.send(OPEN, command_id="open")
    client.flush()
    with suppress(Fenced), running(new_processor(0)):  # only its group tells it, and too late
        wait_until(stopped.is_set, "the first processor has decided")
        with running(new_processor(0)):
            wait_until(lambda: {"open"} <= judge.answered(), "the second one has answered")
            go_on.set()
            wait_until(committed.is_set, "the first one commits late")
            with pytest.raises(AssertionError, match=r"versions are not 1\.\.n"):
                judge.judge("open")
