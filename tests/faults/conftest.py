"""What every test of faults starts from: processors as processes, a proxy in front of the broker, and the judge."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from producers.client import Client
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from streams.processor.transactions import Transactions
from tests.faults.judge import Judge
from tests.faults.processes import Processors
from tests.faults.proxy import Proxy
from tests.fixtures.shop import PARTITIONS, running
from tests.waiting import wait_until


@pytest.fixture
def judge(application: Application, cluster: Kafka, ids: TopicRegistry, client: Client) -> Judge:
    """The judge of this test's log."""
    return Judge(application, cluster, ids, client)


@pytest.fixture
def processors(application: Application, kafka: str, tmp_path: Path) -> Iterator[Processors]:
    """Processors as child processes; none is started yet."""
    made = Processors(application.name, kafka, tmp_path)
    yield made
    made.close()


@pytest.fixture
def proxy(kafka: str) -> Iterator[Proxy]:
    """A proxy in front of the session's Kafka."""
    with Proxy(kafka) as made:
        yield made


@pytest.fixture
def new_behind_proxy(
    application: Application, proxy: Proxy, ids: TopicRegistry, tmp_path: Path
) -> Callable[[], CommandProcessor]:
    """A maker of processors (of slot 0) that reach Kafka through the proxy only."""
    cluster = Kafka(proxy.bootstrap_servers)
    return lambda: CommandProcessor(application, cluster, ids, PARTITIONS, tmp_path / "0", slot=0)


@pytest.fixture
def behind_proxy(new_behind_proxy: Callable[[], CommandProcessor]) -> Iterator[CommandProcessor]:
    """A processor that reaches Kafka through the proxy only, and owns every partition."""
    with running(new_behind_proxy()) as made:
        wait_until(lambda: len(made.owned) == 2 * PARTITIONS, "the processor owns all partitions")
        yield made


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[Transactions]:
    """The transactional producers that are made, in order."""
    made: list[Transactions] = []
    original = Transactions.__init__

    def noted(self: Transactions, kafka: Kafka, transactional_id: str) -> None:
        original(self, kafka, transactional_id)
        made.append(self)

    monkeypatch.setattr(Transactions, "__init__", noted)
    return made
