"""What made a row is found quickly, is what the projection has folded, and leaves out what is parked."""

from datetime import date
from typing import NamedTuple

import pytest

from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountOpened, PurchaseRecorded
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import customer_summary
from streams.event_store.causes import Explained, explain_row
from streams.kafka.config import Kafka
from streams.kernel.folding import ParkedKeys
from streams.kernel.partitioner import partition_of
from streams.postgres.checkpoints import take
from streams.postgres.connection import connect
from streams.postgres.setup import prepare
from streams.worker.applying import Applier
from streams.worker.partition import Partition
from streams.worker.source import sources
from tests.schemas.ids import MemoryIds

TOPIC = shop.topics(account).events
EVENTS = 100
PARTITIONS = 4
NO_KAFKA = Kafka("127.0.0.1:1")  # a row that is keyed by its aggregate needs none


class Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes


@pytest.fixture
def ids(database: str) -> MemoryIds:
    """A database in which account `a` has a hundred events, folded."""
    prepare(database, shop)
    ids = MemoryIds()
    reads, encode = sources(shop, ids), shop.event_codec(account, ids).encode
    bought = PurchaseRecorded(account_id="a", purchase_id="p", day=date(1997, 1, 1), quantity=1, amount_cents=5)
    records = [
        Record(
            n,
            b"a",
            encode(AccountOpened(account_id="a") if n == 0 else bought, EventMetadata("", f"c{n}", "", "", n + 1, n)),
        )
        for n in range(EVENTS)
    ]
    number = partition_of(b"a", PARTITIONS)
    with connect(database, "test worker") as connection:
        with connection.transaction(), connection.cursor() as cursor:
            starts = take(cursor, shop.name, TOPIC, number, "uuid", reads[TOPIC].readers)
        partition = Partition(TOPIC, number, "uuid", starts, {reader: ParkedKeys() for reader in starts})
        Applier(connection, reads).apply(partition, records)
    return ids


def explained(database: str, ids: MemoryIds) -> Explained:
    return explain_row(shop, customer_summary, "a", kafka=NO_KAFKA, dsn=database, ids=ids, partitions=PARTITIONS)


def test_a_hundred_events_are_explained_from_the_journal_alone(database: str, ids: MemoryIds) -> None:
    assert len(explained(database, ids).causes) == EVENTS


def test_the_causes_end_where_the_projection_is_and_lead_to_its_row(database: str, ids: MemoryIds) -> None:
    found = explained(database, ids)
    assert found.exists
    assert found.causes[-1].changed == {"purchases": (98, 99), "quantity": (98, 99), "total_cents": (490, 495)}
    with connect(database, "test") as connection:
        connection.execute("UPDATE kafold.checkpoints SET next = 10 WHERE projection = 'customer_summary'")
        connection.execute(
            'INSERT INTO kafold.parked (application, projection, version, topic, partition, "offset", key, by_message,'
            " message_key, data, code) VALUES ('shop', 'customer_summary', 1, %s, %s, 9, 'a', false, '', '', '')",
            [TOPIC, partition_of(b"a", PARTITIONS)],
        )
    behind = explained(database, ids)
    assert (len(behind.causes), behind.parked) == (9, 1)
