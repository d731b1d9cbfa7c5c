"""A commit whose answer is late or lost, by way of a proxy in front of the broker: the oracle holds all the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from producers.client import Client
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from streams.processor.transactions import Transactions
from tests.faults.load import send
from tests.faults.proxy import ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT, At, Fault, Proxy
from tests.faults.test_processor_faults import Judge
from tests.fixtures.shop import PARTITIONS, running
from tests.waiting import wait_until

BURST = 100


@pytest.fixture
def judge(application: Application, cluster: Kafka, ids: TopicRegistry) -> Judge:
    """The judge of this test's log."""
    return Judge(application, cluster, ids)


@pytest.fixture
def proxy(kafka: str) -> Iterator[Proxy]:
    """A proxy in front of the session's Kafka."""
    with Proxy(kafka) as made:
        yield made


@pytest.fixture
def behind_proxy(
    application: Application, proxy: Proxy, ids: TopicRegistry, tmp_path: Path
) -> Iterator[CommandProcessor]:
    """A processor that reaches Kafka through the proxy only, and owns every partition."""
    cluster = Kafka(proxy.bootstrap_servers)
    with running(CommandProcessor(application, cluster, ids, PARTITIONS, tmp_path / "0", slot=0)) as made:
        wait_until(lambda: len(made.owned) == 2 * PARTITIONS, "the processor owns all partitions")
        yield made


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[Transactions]:
    """The transactional producers that were made, in order."""
    made: list[Transactions] = []
    original = Transactions.__init__

    def noted(self: Transactions, kafka: Kafka, transactional_id: str) -> None:
        original(self, kafka, transactional_id)
        made.append(self)

    monkeypatch.setattr(Transactions, "__init__", noted)
    return made


@pytest.mark.parametrize("api_key", [END_TXN, TXN_OFFSET_COMMIT, ADD_OFFSETS_TO_TXN])
@pytest.mark.parametrize("at", At)
def test_a_request_that_is_cut_off(
    api_key: int, at: At, proxy: Proxy, behind_proxy: CommandProcessor, client: Client, judge: Judge
) -> None:
    asked = send(client, 300, BURST)
    judge.judge(asked)
    fault = proxy.expect(api_key, at, cut=True)
    asked |= send(client, 301, BURST)
    wait_until(fault.caught.is_set, "the request is cut off")
    judge.judge(asked)
    fault.release()
    asked |= send(client, 302, BURST)
    judge.judge(asked)


@pytest.mark.parametrize("at", At)
def test_a_commit_that_is_delayed_beyond_the_timeout(
    at: At, producers: list[Transactions], proxy: Proxy, behind_proxy: CommandProcessor, client: Client, judge: Judge
) -> None:
    fault = proxy.expect(END_TXN, at)
    asked = send(client, 310, BURST)
    wait_until(fault.caught.is_set, "the commit is held")
    judge.judge(asked)  # only a repeat of the held one can have ended it
    fault.release()
    asked |= send(client, 311, BURST)
    judge.judge(asked)
    assert len(producers) == 2, "the producer that had to repeat itself is replaced"


class Pausing:
    """Lets a test act in the middle of a transaction: its events are there, its outcomes are not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.then: Callable[[], None] | None = None
        original = Transactions.flush

        def flush(transactions: Transactions) -> None:
            original(transactions)
            then, self.then = self.then, None
            if then is not None:
                then()

        monkeypatch.setattr(Transactions, "flush", flush)


def test_a_commit_that_arrives_in_the_next_transaction(
    producers: list[Transactions],
    proxy: Proxy,
    behind_proxy: CommandProcessor,
    client: Client,
    judge: Judge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first EndTxn is held, its repeat succeeds, the next transaction is open, then the first one arrives."""
    pausing = Pausing(monkeypatch)
    fault = proxy.expect(END_TXN, At.REQUEST, cut=True)
    asked = send(client, 320, BURST)
    judge.judge(asked)
    assert fault.caught.is_set()
    pausing.then = lambda: deliver(fault)
    asked |= send(client, 321, BURST)
    judge.judge(asked)
    assert len(producers) == 2, "the repeat was seen before the next transaction began"


def deliver(fault: Fault) -> None:
    """Let the held request arrive."""
    fault.release()
    wait_until(fault.done.is_set, "the held request is delivered")
