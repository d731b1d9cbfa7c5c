"""Traffic: commands of every sort, so that a backup has of everything that a log can have in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from confluent_kafka import Producer

from producers.client import Client
from schemas.metadata import CommandMetadata
from schemas.shop.accounts import OpenAccount, RecordPurchase
from schemas.shop.users import DeactivateUser
from streams.domain.shop.accounts import account
from streams.kafka.config import Kafka
from streams.kafka.ends import committed_offsets, marks_of, places_of
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.processor.processor import group_of
from tests.meanwhile import meanwhile

DAY = date(1997, 1, 1)


def purchase(number: int, account_id: str) -> RecordPurchase:
    return RecordPurchase(
        account_id=account_id, purchase_id=f"p{number}", day=DAY, quantity=1 + number % 3, amount_cents=number
    )


class Traffic:
    """Asks for all sorts of things until it is stopped. `sent`: the ids of what Kafka has taken."""

    def __init__(self, application: Application, cluster: Kafka, ids: TopicRegistry) -> None:
        self.sent: list[str] = []
        self.count = 0
        self._client = Client(application.contracts, cluster, ids)
        self._producer = Producer(cluster.producer())
        self._topic = application.topics(account).commands
        self._encode = application.command_codec(account, ids).encode

    def some(self) -> None:
        """Ask for a few things, one of them twice, one without an id, one that is none."""
        made = list[str]()
        for number in range(self.count, self.count + 40):
            name = f"a{number % 30}"
            made.append(self._client.send(OpenAccount(account_id=name), command_id=f"open-{name}-{number % 60}"))
            made.append(self._client.send(purchase(number, name)))
        self.count += 40
        made.append(self._client.send(DeactivateUser(user_id=f"u{self.count}")))
        anonymous = self._encode(purchase(-self.count, "a1"), CommandMetadata())
        self._producer.produce(self._topic, anonymous, b"a1")
        self._producer.produce(self._topic, b"rubbish", b"a2", headers=[("traceparent", b"00-1"), ("empty", None)])
        self._producer.flush()
        self._client.flush()
        self.sent += made

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Ask all the time while the block runs."""

        def run(stop: threading.Event) -> None:
            while not stop.is_set():
                self.some()

        with meanwhile(run):
            yield

    def close(self) -> None:
        self._client.close()


def decided(application: Application, cluster: Kafka) -> bool:
    places = places_of(cluster, [application.topics(each).commands for each in application.aggregates])
    ends = {place: high for place, (_, high) in marks_of(cluster, places).items()}
    return committed_offsets(cluster, group_of(application), places) == ends
