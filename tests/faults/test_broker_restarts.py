"""The broker stopped and started under load, beneath a whole `kafold up`: everything recovers by itself, exactly.

Commands go in all the time; the supervisor starts again what ended. In the end the log is what the reference decides,
and the rows are a fold of the log.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from producers.client import Client, SendFailed
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from tests.faults.judge import Judge
from tests.faults.test_storms import BURST
from tests.fixtures.own_engines import OwnKafka
from tests.fixtures.up import Up, kafold_up
from tests.log import log_of
from tests.meanwhile import meanwhile
from tests.waiting import wait_until
from tests.worker.world import World, check_exact

RECOVERY_S_MAX = 120.0
Stop = Callable[[OwnKafka], None]
NewJudge = Callable[[], Judge]
ALL: list[Stop] = [OwnKafka.stop, OwnKafka.crash]


@pytest.fixture
def cluster(own_kafka: OwnKafka) -> Kafka:
    return Kafka(own_kafka.bootstrap_servers)


@pytest.fixture
def up(own_kafka: OwnKafka, database: str, tmp_path: Path) -> Iterator[Up]:
    """The shop on this test's broker, with two of each part."""
    at = {"KAFOLD_KAFKA__BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers, "KAFOLD_POSTGRES__DSN": database}
    with kafold_up(tmp_path / "up", "--processors", "2", "--workers", "2", **at) as running:
        yield running


@pytest.fixture
def new_judge(up: Up, cluster: Kafka) -> Iterator[NewJudge]:
    """A maker of judges, each with a client of its own."""
    assert up.process.poll() is None
    with ExitStack() as opened:
        ids = opened.enter_context(TopicRegistry(cluster))
        yield lambda: Judge(shop, cluster, ids, opened.enter_context(Client(shop.contracts, cluster, ids)))


@contextmanager
def stubborn_load(judge: Judge, seed: int, new_judge: NewJudge) -> Iterator[None]:
    """Send bursts; what is not taken is sent again, under the same ids, by a new client.

    The old one may never reach some partition again (librdkafka's issue 5430, see `streams/processor/transactions.py`).
    """

    def send(stop: threading.Event) -> None:
        for burst in count(seed * 100_000):
            while not stop.wait(0.05):
                with suppress(SendFailed):
                    judge.send(burst, BURST)
                    break
                judge.client = new_judge().client
            if stop.is_set():
                return

    with meanwhile(send):
        yield


def rows_are_exact(judge: Judge, dsn: str) -> None:
    """Wait until the rows show the whole log, and hold the oracle against them."""
    world = World(shop, judge.cluster, dsn, judge.ids)
    world.committed += log_of(shop, "account", judge.cluster, judge.ids).events
    world.ends |= {(world.topic, each.partition): each.offset + 1 for each in world.committed}
    wait_until(world.caught_up, "the workers have folded everything", RECOVERY_S_MAX, pause_s=0.2)
    check_exact(world)


def restarts(own_kafka: OwnKafka, new_judge: NewJudge, dsn: str, seed: int, stops: list[Stop]) -> None:
    """Stop and start the broker under load; after each, wait until commands are answered again."""
    judge = new_judge()
    with stubborn_load(judge, seed, new_judge):
        for stop in stops:
            before = judge.answered()
            wait_until(lambda: judge.answered() > before, "commands are answered", RECOVERY_S_MAX, pause_s=0.2)  # noqa: B023
            stop(own_kafka)
            own_kafka.start()
    judge.judge(timeout_s=RECOVERY_S_MAX)
    rows_are_exact(judge, dsn)


def test_a_stop_in_order_and_a_crash_under_load(own_kafka: OwnKafka, new_judge: NewJudge, database: str) -> None:
    restarts(own_kafka, new_judge, database, 1, ALL)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(500, 503))
def test_a_campaign_of_restarts(own_kafka: OwnKafka, new_judge: NewJudge, database: str, seed: int) -> None:
    stops = ALL * 4
    random.Random(seed).shuffle(stops)
    restarts(own_kafka, new_judge, database, seed, stops)
