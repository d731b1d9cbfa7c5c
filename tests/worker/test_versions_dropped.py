"""A version that is dropped between a partition's assignment and its first batch: the partition is taken anew."""

from collections.abc import Iterator

import psycopg
import pytest

from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountOpened
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import customer_summary
from streams.kernel.folding import ParkedKeys
from streams.postgres.checkpoints import Reader, take
from streams.postgres.connection import Connection, connect
from streams.postgres.setup import prepare
from streams.postgres.tables import table_of
from streams.postgres.versions import State, set_state
from streams.replay.planning import forget
from streams.worker.applying import Applier
from streams.worker.partition import Partition
from streams.worker.source import sources
from tests.schemas.ids import MemoryIds
from tests.worker.test_settling import Record

TOPIC = shop.topics(account).events
READER = Reader(customer_summary.name, customer_summary.version)
TABLE = table_of(shop.name, customer_summary).name


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    prepare(database, shop)
    with connect(database, "test worker") as made:
        yield made


def assigned(connection: Connection) -> tuple[Applier, Partition, list[Record]]:
    """A partition that was just assigned, and its first record."""
    ids = MemoryIds()
    reads = sources(shop, ids)
    value = shop.event_codec(account, ids).encode(
        AccountOpened(account_id="a"), EventMetadata("c-1", "c", "", "", 1, 0)
    )
    with connection.transaction(), connection.cursor() as cursor:
        starts = take(cursor, shop.name, TOPIC, 0, "uuid", reads[TOPIC].readers)
    partition = Partition(TOPIC, 0, "uuid", starts, {reader: ParkedKeys() for reader in starts})
    return Applier(connection, reads), partition, [Record(0, b"a", value)]


def test_its_partition_is_taken_anew(connection: Connection) -> None:
    applier, partition, records = assigned(connection)
    with connection.transaction(), connection.cursor() as cursor:
        set_state(cursor, shop.name, READER, State.DROPPED)
        cursor.execute(b"DROP VIEW shop.customer_summary")
        forget(cursor, shop.name, READER, TABLE)
    applier.apply(partition, records)
    assert partition.lost


def test_a_table_that_somebody_else_took_away_stops_the_worker(connection: Connection) -> None:
    applier, partition, records = assigned(connection)
    connection.execute(b"DROP TABLE shop.customer_summary_v1 CASCADE")
    with pytest.raises(psycopg.errors.UndefinedTable):
        applier.apply(partition, records)
    assert not partition.lost
