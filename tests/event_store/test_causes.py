"""What made a row is found quickly, is what the projection has folded, and leaves out what is parked."""

from datetime import date

import pytest

from schemas.shop.accounts import AccountOpened, PurchaseRecorded
from streams.domain.shop.app import shop
from streams.domain.shop.projections import customer_summary
from streams.event_store.causes import Explained, explain_row
from streams.kafka.config import Kafka
from streams.kernel.partitioner import partition_of
from streams.postgres.connection import connect
from tests.event_store.journal import PARTITIONS, TOPIC, fold
from tests.schemas.ids import MemoryIds

EVENTS = 100
NO_KAFKA = Kafka("127.0.0.1:1")  # a row that is keyed by its aggregate needs none


@pytest.fixture
def ids(database: str) -> MemoryIds:
    """A database in which account `a` has a hundred events, folded."""
    bought = PurchaseRecorded(account_id="a", purchase_id="p", day=date(1997, 1, 1), quantity=1, amount_cents=5)
    return fold(database, [AccountOpened(account_id="a"), *[bought] * (EVENTS - 1)])


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
