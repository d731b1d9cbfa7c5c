"""A journal with so many events, for the benchmark `load`: real encoded events, put in by COPY.

They lie as they come in life, every aggregate's next event after every other's, so that an aggregate's hundred events
lie in a hundred places: neither side gains by how it was filled.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from psycopg import sql

from infra.engines import Endpoints
from schemas.metadata import EventMetadata, event_id
from schemas.registry import SchemaIds
from schemas.shop.accounts import AccountCommand, AccountEvent, AccountOpened, PurchaseRecorded
from streams.domain.shop.accounts import Account, account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import customer_summary
from streams.event_store.store import EventStore
from streams.kernel.application import Application
from streams.kernel.bus import registry_of
from streams.kernel.partitioner import partition_of
from streams.postgres import checkpoints, journal, setup
from streams.postgres.connection import connect

PARTITIONS = 4
EVENTS_EACH = 100
DAY = date(1997, 1, 1)
TIME_MS = 852_076_800_000
# What a row's explanation asks for too: how far its projection is.
READERS = [checkpoints.JOURNAL, checkpoints.Reader(customer_summary.name, customer_summary.version)]


class FilledJournal:
    """An application of its own whose journal has `aggregates` accounts with 100 events each."""

    def __init__(self, endpoints: Endpoints, aggregates: int) -> None:
        """Fill it; that is most of the benchmark's time."""
        self.application: Application = replace(shop, name=f"bench{uuid.uuid4().hex[:8]}")
        self.ids: SchemaIds = registry_of(self.application)
        self.dsn = endpoints.dsn
        self.keys = [f"a{number:07}" for number in range(aggregates)]
        self.topic = self.application.topics(account).events
        setup.prepare(self.dsn, self.application)
        self._fill()

    def store(self) -> EventStore[Account, AccountCommand, AccountEvent]:
        """Return an event store over it."""
        return EventStore(self.application, account, dsn=self.dsn, ids=self.ids, partitions=PARTITIONS)

    def _fill(self) -> None:
        topic = self.topic
        home = {key: partition_of(key.encode(), PARTITIONS) for key in self.keys}
        ends = dict.fromkeys(range(PARTITIONS), 0)
        encode = self.application.event_codec(account, self.ids).encode
        with connect(self.dsn, "benchmark") as connection, connection.transaction(), connection.cursor() as cursor:
            statement = sql.SQL('COPY {} (id, version, partition, "offset", data) FROM STDIN (FORMAT binary)')
            with cursor.copy(statement.format(journal.table(topic))) as copy:
                copy.set_types(["text", "bigint", "integer", "bigint", "bytea"])
                for version in range(1, EVENTS_EACH + 1):
                    for key, event, about in self._events(version):
                        partition = home[key]
                        copy.write_row((key, version, partition, ends[partition], encode(event, about)))
                        ends[partition] += 1
            for partition, end in ends.items():
                checkpoints.take(cursor, self.application.name, topic, partition, "an id", READERS)
                steps = [checkpoints.Move(reader, 0, end) for reader in READERS]
                checkpoints.move(cursor, self.application.name, topic, partition, "an id", steps)
        with connect(self.dsn, "benchmark") as connection:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(journal.table(topic)))

    def _events(self, version: int) -> Iterator[tuple[str, AccountEvent, EventMetadata]]:
        command_id = str(uuid.uuid4())
        about = EventMetadata(event_id(command_id, 1), command_id, command_id, command_id, version, TIME_MS)
        for key in self.keys:
            event: AccountEvent = AccountOpened(account_id=key)
            if version > 1:
                event = PurchaseRecorded(
                    account_id=key, purchase_id=f"{version}", day=DAY, quantity=1, amount_cents=version
                )
            yield key, event, about
