"""The whole way of the data, from commands on Kafka to rows over HTTP and SQL, while parts of it are killed."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import partial

import httpx
import psycopg
import pytest

from infra.demo import cdnow
from infra.demo.asking import ReadApi
from infra.demo.loading import Loaded, load
from infra.engines import Endpoints, engines
from infra.preparing import kafka_at
from infra.settings import load_settings
from producers.client import Client
from read_api.read_model import reader_conninfo
from schemas.outcomes import Accepted, Rejected
from schemas.shop.accounts import RecordPurchase
from schemas.shop.users import ChangeEmail, CreateUser, UserProblem
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from tests.fixtures.up import Up, kafold_up
from tests.log import log_of
from tests.oracle import check_log
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A shop of this module's own: it is judged by everything that is in it."""
    with kafold_up(tmp_path_factory.mktemp("load"), "--processors", "2", "--workers", "2") as running:
        yield running


@pytest.fixture(scope="module")
def up_endpoints(up: Up) -> Iterator[Endpoints]:
    with engines(load_settings(home=up.home)) as endpoints:
        yield endpoints


@pytest.fixture(scope="module")
def up_kafka(up_endpoints: Endpoints) -> Kafka:
    return kafka_at(up_endpoints)


@pytest.fixture(scope="module")
def ids(up_kafka: Kafka) -> Iterator[TopicRegistry]:
    with TopicRegistry(up_kafka) as registry:
        yield registry


@pytest.fixture(scope="module")
def client(up_kafka: Kafka, ids: TopicRegistry) -> Iterator[Client]:
    with Client(shop.contracts, up_kafka, ids) as made:
        yield made


@pytest.fixture(scope="module")
def loaded(up: Up, up_kafka: Kafka, ids: TopicRegistry) -> Loaded:
    """The whole file, loaded while two processors and two workers are killed one after the other."""
    identified = list(cdnow.commands(cdnow.packaged()))
    victims = {5: "processor-0", 20: "worker-0", 40: "worker-1", 50: "processor-1"}
    decided = Counter[str]()

    def kill_on_the_way(count: int) -> None:
        decided["commands"] += count
        for percent in [each for each in victims if decided["commands"] * 100 >= each * len(identified)]:
            os.kill(up.pid(victims.pop(percent)), signal.SIGKILL)

    result = load(shop, up_kafka, ids, identified, lambda _: None, kill_on_the_way)
    assert not victims
    with ReadApi(up.api_url) as api:
        for projection in shop.projections:
            sources = {shop.topics(each).events for each in projection.of}
            api.await_position(projection.name, result.position.only(sources), lambda _: None)
    return result


def test_every_command_of_the_file_is_accepted(loaded: Loaded) -> None:
    assert loaded.statuses == {"accepted": loaded.commands}


@pytest.mark.usefixtures("loaded")
def test_the_killed_parts_were_started_again(up: Up) -> None:
    for part in ("processor-0", "processor-1", "worker-0", "worker-1"):
        wait_until(partial(_was_restarted, up, part), f"{part} runs again")


@pytest.mark.usefixtures("loaded")
def test_the_totals_are_exact_to_the_cent(up: Up) -> None:
    with ReadApi(up.api_url) as api:
        figures = api.figures()
    assert figures.totals == cdnow.CDNOW_TOTALS


@pytest.mark.usefixtures("loaded")
def test_each_customer_is_a_user_once(up_endpoints: Endpoints) -> None:
    with psycopg.connect(reader_conninfo(up_endpoints.dsn, "shop")) as analyst:
        found = analyst.execute("SELECT count(*) FROM users WHERE user_id ~ '^[0-9]{5}$' AND active").fetchone()
    assert found == (cdnow.CDNOW_TOTALS.customers,)


@pytest.mark.usefixtures("loaded")
def test_each_row_is_what_the_file_says(up_endpoints: Endpoints) -> None:
    expected: dict[str, tuple[int, int, int]] = {}
    for each in cdnow.packaged():
        purchases, discs, cents = expected.get(each.customer_id, (0, 0, 0))
        expected[each.customer_id] = (purchases + 1, discs + each.quantity, cents + each.amount_cents)
    with psycopg.connect(reader_conninfo(up_endpoints.dsn, "shop")) as analyst:
        found = analyst.execute("SELECT account_id, purchases, quantity, total_cents FROM customer_summary").fetchall()
    assert {key: tuple(sums) for key, *sums in found} == expected


@pytest.mark.usefixtures("loaded")
def test_the_log_is_exact(up_kafka: Kafka, ids: TopicRegistry) -> None:
    asked = [each.command_id for each in cdnow.commands(cdnow.packaged())]
    users = [each for each in asked if each.startswith("cdnow-user")]
    accounts = [each for each in asked if not each.startswith("cdnow-user")]
    for name, expected in (("user", users), ("account", accounts)):
        check_log(log_of(shop, name, up_kafka, ids), expected)


def test_loading_the_same_again_changes_nothing(up: Up, up_kafka: Kafka, ids: TopicRegistry, loaded: Loaded) -> None:
    some = list(cdnow.commands(cdnow.packaged()))[:5_000]
    again = load(shop, up_kafka, ids, some, lambda _: None, lambda _: None)
    assert again.repeated == len(some)
    with ReadApi(up.api_url) as api:
        assert api.figures().totals == cdnow.CDNOW_TOTALS
    assert loaded.repeated == 0


def test_who_asks_reads_their_own_writes(up: Up, client: Client) -> None:
    for number in range(20):
        answer = client.ask(CreateUser(user_id=f"reader-{number}", email="a@b", name="Ann"))
        assert isinstance(answer, Accepted)
        row = httpx.get(f"{up.api_url}/users/reader-{number}", params={"after": str(answer.position)})
        assert row.json()["email"] == "a@b", row.text


def test_a_refused_command_changes_nothing(up: Up, client: Client) -> None:
    created = client.ask(CreateUser(user_id="refused", email="a@b", name="Ann"))
    assert isinstance(created, Accepted)
    assert client.ask(ChangeEmail(user_id="refused", email="nowhere")) == Rejected(
        UserProblem.INVALID_EMAIL, "'nowhere' is not of the form name@host"
    )
    row = httpx.get(f"{up.api_url}/users/refused", params={"after": str(created.position)})
    assert row.json()["email"] == "a@b"


def test_a_purchase_without_an_account_is_refused(client: Client) -> None:
    purchase = RecordPurchase(account_id="nobody", purchase_id="1", day=date(2001, 1, 1), quantity=1, amount_cents=1)
    assert isinstance(client.ask(purchase), Rejected)


def _was_restarted(up: Up, part: str) -> bool:
    return up.restarts(part) >= 1
