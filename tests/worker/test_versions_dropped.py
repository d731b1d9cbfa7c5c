"""A version that is dropped between a partition's assignment and its first batch: the partition is taken anew."""

import psycopg
import pytest

from schemas.shop.accounts import AccountOpened
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import customer_summary
from streams.postgres.checkpoints import Reader
from streams.postgres.tables import table_of
from streams.postgres.versions import State, set_state
from streams.replay.planning import forget
from tests.worker.owner import owner_of, recorded, world_without_kafka
from tests.worker.world import World

TOPIC = shop.topics(account).events
READER = Reader(customer_summary.name, customer_summary.version)
TABLE = table_of(shop.name, customer_summary).name


@pytest.fixture
def world(database: str) -> World:
    return world_without_kafka(shop, database)


def test_its_partition_is_taken_anew(world: World) -> None:
    with owner_of(world, 0) as owner:
        with owner.connection.transaction(), owner.connection.cursor() as cursor:
            set_state(cursor, shop.name, READER, State.DROPPED)
            cursor.execute(b"DROP VIEW shop.customer_summary")
            forget(cursor, shop.name, READER, TABLE)
        owner.apply(recorded(world, 0, [AccountOpened(account_id="a")]))
        assert owner.partition.lost


def test_a_table_that_somebody_else_took_away_stops_the_worker(world: World) -> None:
    with owner_of(world, 0) as owner:
        owner.connection.execute(b"DROP TABLE shop.customer_summary_v1 CASCADE")
        with pytest.raises(psycopg.errors.UndefinedTable):
            owner.apply(recorded(world, 0, [AccountOpened(account_id="a")]))
        assert not owner.partition.lost
