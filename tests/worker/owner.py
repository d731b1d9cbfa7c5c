"""Owners: one partition's share of a worker, without Faust and Kafka, so that a test says who does what, and when."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from schemas.metadata import EventMetadata
from schemas.registry import SchemaIds
from schemas.shop.accounts import AccountEvent
from streams.domain.shop.accounts import account
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.kernel.folding import ParkedKeys
from streams.postgres.checkpoints import Reader, take
from streams.postgres.connection import Connection, connect
from streams.postgres.setup import prepare
from streams.worker.applying import Applier
from streams.worker.partition import Partition
from streams.worker.source import sources
from tests.log import Recorded
from tests.schemas.ids import MemoryIds
from tests.worker.world import World

TOPIC_ID = "uuid"
NOBODY = "127.0.0.1:1"


class Record(NamedTuple):
    """A record as the transport hands it over."""

    offset: int
    key: bytes
    value: bytes


class Owner:
    """Owns a partition of the account's events, from its checkpoints on, and applies what it is given."""

    def __init__(
        self, connection: Connection, application: Application, ids: SchemaIds, number: int, only: Reader | None = None
    ) -> None:
        """Take the partition."""
        topic = application.topics(account).events
        self.connection = connection
        self.sources = sources(application, ids, only)
        self.applier = Applier(connection, self.sources)
        with connection.transaction(), connection.cursor() as cursor:
            starts = take(cursor, application.name, topic, number, TOPIC_ID, self.sources[topic].readers)
        self.partition = Partition(topic, number, TOPIC_ID, starts, {reader: ParkedKeys() for reader in starts})

    def apply(self, records: Sequence[Record]) -> None:
        """Apply the next records of the partition."""
        self.applier.apply(self.partition, records)


@contextmanager
def owner_of(world: World, number: int, only: Reader | None = None) -> Iterator[Owner]:
    """A partition's owner, on a connection of its own."""
    with connect(world.dsn, "test owner") as connection:
        yield Owner(connection, world.application, world.ids, number, only)


def world_without_kafka(application: Application, dsn: str) -> World:
    """A world whose events are in nobody's log, but in `recorded` only."""
    prepare(dsn, application)
    return World(application, Kafka(NOBODY), dsn, MemoryIds())


def recorded(world: World, number: int, events: Iterable[AccountEvent]) -> list[Record]:
    """Return the events as the next records of a partition; they count as committed."""
    encode = world.application.event_codec(account, world.ids).encode
    place = world.topic, number
    records = []
    for event in events:
        version = world.versions[event.account_id] = world.versions.get(event.account_id, 0) + 1
        command, offset = f"{event.account_id}:{version}", world.ends.get(place, 0)
        meta = EventMetadata(f"{command}-1", command, command, command, version, 0)
        records.append(Record(offset, event.account_id.encode(), encode(event, meta)))
        world.committed.append(Recorded(number, offset, event, meta))
        world.ends[place] = offset + 1
    return records
