"""The late end: the first EndTxn of a transaction arrives after its repeat succeeded, in the middle of the next one.

The proxy holds the first one and cuts the connection; librdkafka repeats it and reports success. The next commands wait
in Kafka already, so that the next transaction begins at once; when its events are written and its outcomes are not, the
first one is delivered. In the worst case the processor dies right then.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError

from streams.kernel.errors import Fenced
from streams.processor.coordinator_watch import CoordinatorWatch
from streams.processor.processor import CommandProcessor
from streams.processor.run import Run
from streams.processor.transactions import Transactions
from tests.faults.judge import Judge
from tests.faults.proxy import END_TXN, At, Fault, Proxy
from tests.fixtures.shop import running
from tests.waiting import wait_until

BURST = 50
NewProcessor = Callable[[], CommandProcessor]


class LateEnd:
    """Has the end of the processor's next transaction arrive late. `dies`: whether the processor dies by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, proxy: Proxy, judge: Judge) -> None:
        self.dies = False
        self.answer: int | None = None
        self._fault: Fault | None = None
        self._proxy, self._judge = proxy, judge
        self._produce, self._commit = Transactions.produce, Transactions.commit
        monkeypatch.setattr(Transactions, "commit", lambda transactions: self.commit(transactions))
        monkeypatch.setattr(Transactions, "produce", lambda *args, **options: self.produce(*args, **options))

    @property
    def fault(self) -> Fault:
        assert self._fault is not None, "no transaction has come to its end"
        return self._fault

    def commit(self, transactions: Transactions) -> None:
        if self._fault is None:
            self._judge.send(401, BURST)  # the next transaction's
            self._fault = self._proxy.expect(END_TXN, At.REQUEST, cut=True)
        self._commit(transactions)

    def produce(self, transactions: Transactions, *args: Any, early: bool = False) -> Run:
        """Produce events as ever (they are what is `early`); before the first outcomes, let the late end arrive."""
        if not early and self._fault is not None and self.answer is None:
            transactions.flush()  # the events are written
            self.answer = self._fault.deliver()
            if self.dies:
                raise Fenced("the processor dies")
        return self._produce(transactions, *args, early=early)


@pytest.fixture
def late_end(monkeypatch: pytest.MonkeyPatch, proxy: Proxy, judge: Judge) -> LateEnd:
    return LateEnd(monkeypatch, proxy, judge)


def through_a_late_end(late_end: LateEnd, judge: Judge, new_processor: NewProcessor) -> None:
    """Run processors until the late end has arrived and everything is answered, then judge."""
    judge.send(400, BURST)
    with suppress(Fenced), running(new_processor()):
        wait_until(lambda: late_end.answer is not None, "the late end has arrived")
        if not late_end.dies:
            judge.judge()
    with running(new_processor()):
        judge.judge()


@pytest.mark.parametrize("dies", [False, True])
def test_a_late_end_meets_another_producer_and_is_refused(
    dies: bool, late_end: LateEnd, producers: list[Transactions], new_behind_proxy: NewProcessor, judge: Judge
) -> None:
    late_end.dies = dies
    through_a_late_end(late_end, judge, new_behind_proxy)
    assert late_end.answer in (KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)
    assert len(producers) == 3, "one that repeated its end, its successor, and the one of the next processor"


def test_without_the_coordinator_watch_a_late_end_ends_the_next_transaction_and_the_oracle_goes_red(
    late_end: LateEnd, new_behind_proxy: NewProcessor, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CoordinatorWatch, "log", lambda *_: None)
    late_end.dies = True
    # Only the events are in the log: the commands are decided again, and some of them are refused then.
    with pytest.raises(AssertionError, match=r"\d+ commands have events without an accepted outcome"):
        through_a_late_end(late_end, judge, new_behind_proxy)
    assert late_end.answer == KafkaError.NO_ERROR
