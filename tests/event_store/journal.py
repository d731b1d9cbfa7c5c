"""A database whose journal and projections have the events of some accounts, folded as a worker does, without Kafka."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountEvent
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
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
TOPIC_ID = "uuid"
PARTITIONS = 4


class Record(NamedTuple):
    """What the worker looks at of a record."""

    offset: int
    key: bytes
    value: bytes


def fold(database: str, events: Sequence[AccountEvent | bytes], key: bytes = b"a") -> MemoryIds:
    """Fold an account's events, the n-th at offset n and decided n ms after 1970; bytes are no event."""
    prepare(database, shop)
    ids = MemoryIds()
    reads, encode = sources(shop, ids), shop.event_codec(account, ids).encode
    records = [
        Record(n, key, each if isinstance(each, bytes) else encode(each, EventMetadata("", f"c{n}", "", "", n + 1, n)))
        for n, each in enumerate(events)
    ]
    number = partition_of(key, PARTITIONS)
    with connect(database, "test worker") as connection:
        with connection.transaction(), connection.cursor() as cursor:
            starts = take(cursor, shop.name, TOPIC, number, TOPIC_ID, reads[TOPIC].readers)
        partition = Partition(TOPIC, number, TOPIC_ID, starts, {reader: ParkedKeys() for reader in starts})
        Applier(connection, reads).apply(partition, records)
    return ids
