"""A world for the worker's tests: the shop under a name of its own, a transactional writer, and an oracle.

The **oracle** is a reference fold: it folds the committed events one by one, in memory, with nothing of the worker's.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer
from psycopg import sql

from infra.waiting import wait_until
from schemas.metadata import EventMetadata
from schemas.position import Position
from schemas.shop.accounts import AccountEvent, AccountOpened, PurchaseRecorded, PurchaseRefunded
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry, register
from streams.kafka.topics import prepare_topics, topic_ids
from streams.kernel.application import Application
from streams.kernel.process_manager import ProcessManager
from streams.kernel.projection import Projection
from streams.postgres.setup import prepare
from streams.worker.beginning import begin

PARTITIONS = 4
Rows = dict[Any, Any]


@dataclass
class World:
    """One application with its topics, its writer, and what was committed."""

    application: Application
    kafka: Kafka
    dsn: str
    ids: TopicRegistry
    committed: list[tuple[AccountEvent, EventMetadata]] = field(default_factory=list)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def topic(self) -> str:
        return self.application.topics(account).events

    @property
    def position(self) -> Position:
        return Position(dict(self.ends), topic_ids(self.kafka, [self.topic]))

    def writer(self) -> "Writer":
        return Writer(self)

    def expected(self, projection: Projection[Any, Any]) -> Rows:
        """Fold what was committed, one by one."""
        rows: Rows = {}
        for event, meta in self.committed:
            if type(event) in projection.event_types:
                key = projection.key_of(event)
                rows[key] = projection.project(rows.get(key) or projection.new_row(key), event, meta)
        return {key: row for key, row in rows.items() if row is not None}

    def actual(self, projection: Projection[Any, Any] | ProcessManager[Any, Any]) -> Rows:
        """Read the projection's view."""
        view = sql.Identifier(self.application.name, projection.name)
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(view))
            names = [column.name for column in cursor.description or ()]
            rows = [projection.row(**dict(zip(names, values, strict=True))) for values in cursor]
        return {getattr(row, projection.key_field): row for row in rows}

    def journal(self) -> list[tuple[str, int, bytes]]:
        table = sql.Identifier("kafold", self.topic)
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(
                sql.SQL("SELECT id, version, data FROM {} ORDER BY 1, 2").format(table)
            ).fetchall()

    def journal_expected(self) -> list[tuple[str, int, bytes]]:
        encode = self.application.event_codec(account, self.ids).encode
        return sorted((event.account_id, meta.version, encode(event, meta)) for event, meta in self.committed)

    def checkpoints(self) -> dict[tuple[str, int], int]:
        """The smallest checkpoint of the account events' readers, by projection and partition."""
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "SELECT projection, partition, next FROM kafold.checkpoints WHERE topic = %s", [self.topic]
            )
            return {(projection, partition): at for projection, partition, at in rows}

    def caught_up(self) -> bool:
        """Whether every reader of the account's events has all that was committed."""
        found = self.checkpoints()
        readers = {"(journal)", *(each.name for each in self.application.projections if account in each.of)}
        return all(found.get((reader, n), 0) >= end for (_, n), end in self.ends.items() for reader in readers)


class Writer:
    """Writes random purchases in Kafka transactions, some of them aborted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._encode = world.application.event_codec(account, world.ids).encode
        self._producer = Producer(world.kafka.producer(transactional_id=f"writer-{world.application.name}"))
        self._producer.init_transactions()

    def burst(self, events: list[AccountEvent], *, abort: bool = False, age_s: float = 0) -> None:
        """Write the events in one transaction, as if decided some time ago."""
        world, versions = self.world, dict(self.world.versions)
        written: list[tuple[AccountEvent, EventMetadata]] = []
        ends: dict[tuple[str, int], int] = {}
        self._producer.begin_transaction()
        for event in events:
            version = versions[event.account_id] = versions.get(event.account_id, 0) + 1
            command = f"{event.account_id}:{version}"
            meta = EventMetadata(f"{command}-1", command, command, command, version, int((time.time() - age_s) * 1000))
            self.raw(event.account_id.encode(), self._encode(event, meta), ends)
            written.append((event, meta))
        self._producer.flush()
        if abort:
            self._producer.abort_transaction()
            return
        self._producer.commit_transaction()
        world.committed += written
        world.versions = versions
        world.ends |= ends

    def anything(self, key: bytes, data: bytes) -> None:
        """Write one record of any bytes in a transaction."""
        ends: dict[tuple[str, int], int] = {}
        self._producer.begin_transaction()
        self.raw(key, data, ends)
        self._producer.flush()
        self._producer.commit_transaction()
        self.world.ends |= ends

    def raw(self, key: bytes, data: bytes, ends: dict[tuple[str, int], int]) -> None:
        def delivered(error: object, message: Any) -> None:
            assert error is None, error
            ends[message.topic(), message.partition()] = message.offset() + 1

        self._producer.produce(self.world.topic, data, key, on_delivery=delivered)
        self._producer.poll(0)


def purchases(chance: random.Random, count: int, keys: int, known: dict[str, int]) -> list[AccountEvent]:
    """Return random events that an account could have."""
    opened = set(known)
    events: list[AccountEvent] = []
    for number in range(count):
        key, day = f"acc-{chance.randrange(keys):05d}", date(1997, 1 + chance.randrange(12), 1 + chance.randrange(28))
        if key not in opened:
            opened.add(key)
            events.append(AccountOpened(account_id=key))
        elif chance.random() < 0.1:
            events.append(PurchaseRefunded(account_id=key, purchase_id="p", day=day, amount_cents=chance.randrange(99)))
        else:
            events.append(
                PurchaseRecorded(
                    account_id=key,
                    purchase_id=f"p{number}",
                    day=day,
                    quantity=1 + number % 3,
                    amount_cents=number % 5000,
                )
            )
    return events


@contextmanager
def world_of(name: str, bootstrap_servers: str, dsn: str) -> Iterator[World]:
    """Make the shop's topics under another name, and register its schemas."""
    application, kafka = replace(shop, name=name), Kafka(bootstrap_servers)
    prepare_topics(kafka, application, PARTITIONS, 1, 3600)
    register(kafka, dsn, application.subjects())
    prepare(dsn, application)
    begin(kafka, dsn, application)
    with TopicRegistry(kafka) as ids:
        yield World(application, kafka, dsn, ids)


class Workers:
    """Worker processes of one world, by name. They end with the test."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.ports: dict[str, int] = {}  # of the webs of those that have one
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.exits: list[int] = []

    def start(self, name: str) -> None:
        arguments = [
            self.world.application.name,
            self.world.kafka.bootstrap_servers,
            self.world.dsn,
            str(self.folder / name),
        ]
        command = [sys.executable, "-m", "tests.worker.child", *arguments]
        watch = {"KAFOLD_TEST_WATCH": str(self.ports[name])} if name in self.ports else {}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **self.environment, **watch}
            )

    def revive(self) -> None:
        """Start again those that have ended, as a supervisor does."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self.exits.append(process.returncode)
                self.start(name)

    def kill(self, name: str) -> None:
        """End one as nothing but kill -9 does, and start it again."""
        self.running[name].kill()
        self.running[name].wait()
        self.start(name)

    def until(self, condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
        """Wait, reviving the workers meanwhile; fail with their logs."""

        def holds() -> bool:
            self.revive()
            return condition()

        if not wait_until(holds, timeout_s, interval_s=0.2):
            raise AssertionError(self.logs())

    def logs(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
