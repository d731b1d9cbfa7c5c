"""Bad input at the doors of a running shop: each gets its reason and is kept, and nothing stops."""

import struct
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from confluent_kafka import Producer

from infra.engines import Endpoints
from producers.client import Client
from schemas.metadata import CommandMetadata
from schemas.outcomes import Accepted
from schemas.shop.accounts import OpenAccount
from schemas.shop.users import CreateUser
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from tests.fixtures.up import Up
from tests.log import dead_letters_of
from tests.waiting import wait_until

GHOST = b"ghost"


@pytest.fixture(scope="module")
def ids(up_kafka: Kafka) -> Iterator[TopicRegistry]:
    with TopicRegistry(up_kafka) as registry:
        yield registry


def _put(kafka: Kafka, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
    producer = Producer(kafka.producer())
    for key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(30) == 0


def _still_works(up: Up, kafka: Kafka, ids: TopicRegistry, user_id: str) -> None:
    with Client(shop.contracts, kafka, ids) as client:
        answer = client.ask(CreateUser(user_id=user_id, email="a@b", name="Ann"))
    assert isinstance(answer, Accepted)
    row = httpx.get(f"{up.api_url}/users/{user_id}", params={"after": str(answer.position), "timeout_ms": "20000"})
    assert row.status_code == 200, row.text


def test_commands_that_cannot_be_understood(up: Up, up_kafka: Kafka, ids: TopicRegistry) -> None:
    good = shop.command_codec(shop.aggregate("user"), ids).encode(
        CreateUser(user_id="ghost", email="a@b", name="Ann"), CommandMetadata()
    )
    foreign = shop.command_codec(shop.aggregate("account"), ids).encode(
        OpenAccount(account_id="ghost"), CommandMetadata()
    )
    rubbish = {
        "undecodable": (GHOST, b"\xff\xfe not Avro"),
        "unknown schema id": (GHOST, b"\0" + struct.pack(">I", 987_654_321) + b"x"),
        "wrong key": (b"somebody else", good),
        "missing field": (GHOST, good[:-4]),
        "unknown command type": (GHOST, foreign),
        "nothing": (None, None),
    }
    topic = shop.topics(shop.aggregate("user")).commands
    _put(up_kafka, topic, *rubbish.values())
    _still_works(up, up_kafka, ids, "after-rubbish")

    wait_until(lambda: len(dead_letters_of(shop, up_kafka)) == len(rubbish), "every bad command is a dead letter")
    letters = dead_letters_of(shop, up_kafka)
    assert sorted((each.key or b"", each.value or b"") for each in letters) == sorted(
        (key or b"", value or b"") for key, value in rubbish.values()
    )
    for letter in letters:
        assert letter.topic == topic
        assert letter.offset >= 0
        assert letter.error
        assert letter.reason


def test_an_event_that_cannot_be_understood_parks_its_key(
    up: Up, up_kafka: Kafka, up_endpoints: Endpoints, ids: TopicRegistry
) -> None:
    _put(up_kafka, shop.topics(shop.aggregate("user")).events, (GHOST, b"no event at all"))
    for number in range(8):  # so that every partition has seen some
        _still_works(up, up_kafka, ids, f"after-parking-{number}")

    def parked() -> list[tuple[str, bytes]]:
        with psycopg.connect(up_endpoints.dsn) as connection:
            return connection.execute("SELECT key, data FROM kafold.parked WHERE error IS NOT NULL").fetchall()

    wait_until(lambda: ("ghost", b"no event at all") in parked(), "the event is parked")
