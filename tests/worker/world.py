"""A world for the worker's tests: the shop under a name of its own, a transactional writer, and an oracle.

The **oracle** is a reference fold: it folds the committed events one by one, in memory, with nothing of the worker's.
`check_exact` holds it against the rows at any moment, also while workers are at work: each projection at its own
checkpoint.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from confluent_kafka import Producer
from psycopg import IsolationLevel, sql

from infra.waiting import wait_until
from schemas.messages import Event
from schemas.metadata import EventMetadata
from schemas.position import Position
from schemas.registry import SchemaIds
from schemas.shop.accounts import AccountEvent, AccountOpened, PurchaseRecorded, PurchaseRefunded
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry, register
from streams.kafka.topics import prepare_topics, topic_ids
from streams.kernel.application import Application
from streams.kernel.process_manager import ProcessManager
from streams.kernel.projection import Projection
from streams.postgres.checkpoints import JOURNAL
from streams.postgres.setup import prepare
from streams.worker.app import GROUP_SUFFIX
from streams.worker.beginning import begin
from tests.log import Recorded
from tests.worker.groups import bury, members
from tests.worker.strikes import STRIKE

PARTITIONS = 4
STOP_S_MAX = 30.0
Rows = dict[Any, Any]
At: TypeAlias = Mapping[int, int] | None
Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass
class World:
    """One application with its topics, its writer, and what was committed."""

    application: Application
    kafka: Kafka
    dsn: str
    ids: SchemaIds
    committed: list[Recorded] = field(default_factory=list)
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

    def expected(self, projection: Projection[Any, Any], at: At = None) -> Rows:
        """Fold what was committed, one by one; `at`: before these offsets, by partition."""
        rows: Rows = {}
        for each in self._before(at):
            if type(each.event) in projection.event_types:
                key = projection.key_of(each.event)
                rows[key] = projection.project(rows.get(key) or projection.new_row(key), each.event, each.metadata)
        return {key: row for key, row in rows.items() if row is not None}

    def actual(
        self, projection: Projection[Any, Any] | ProcessManager[Any, Any], within: Connection | None = None
    ) -> Rows:
        """Read the projection's view; `within`: on this connection, in its transaction."""
        view = sql.Identifier(self.application.name, projection.name)
        with self._connection(within) as connection:
            cursor = connection.execute(sql.SQL("SELECT * FROM {}").format(view))
            names = [column.name for column in cursor.description or ()]
            rows = [projection.row(**dict(zip(names, values, strict=True))) for values in cursor]
        return {getattr(row, projection.key_field): row for row in rows}

    def journal(self, within: Connection | None = None) -> list[tuple[str, int, bytes]]:
        table = sql.Identifier("kafold", self.topic)
        with self._connection(within) as connection:
            return connection.execute(
                sql.SQL("SELECT id, version, data FROM {} ORDER BY 1, 2").format(table)
            ).fetchall()

    def journal_expected(self, at: At = None) -> list[tuple[str, int, bytes]]:
        encode = self.application.event_codec(account, self.ids).encode
        return sorted(
            (each.event.aggregate_id, each.metadata.version, encode(each.event, each.metadata))
            for each in self._before(at)
        )

    def checkpoints(self, within: Connection | None = None) -> dict[tuple[str, int], int]:
        """The smallest checkpoint of the account events' readers, by projection and partition."""
        with self._connection(within) as connection:
            rows = connection.execute(
                "SELECT projection, partition, next FROM kafold.checkpoints WHERE topic = %s", [self.topic]
            )
            return {(projection, partition): at for projection, partition, at in rows}

    @property
    def projections(self) -> list[Projection[Any, Any]]:
        """The projections of the account's events."""
        return [each for each in self.application.projections if account in each.of]

    def caught_up(self) -> bool:
        """Whether every reader of the account's events has all that was committed."""
        found = self.checkpoints()
        readers = {JOURNAL.name, *(each.name for each in self.projections)}
        return all(found.get((reader, n), 0) >= end for (_, n), end in self.ends.items() for reader in readers)

    def _before(self, at: At) -> list[Recorded]:
        # Whoever writes meanwhile adds to the list.
        committed = list(self.committed)
        return committed if at is None else [each for each in committed if each.offset < at.get(each.partition, 0)]

    def _connection(self, within: Connection | None) -> AbstractContextManager[Connection]:
        return psycopg.connect(self.dsn) if within is None else nullcontext(within)


def check_exact(world: World) -> None:
    """Every projection and the journal equal a reference fold at their checkpoints, wherever these are just now."""
    with psycopg.connect(world.dsn) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        found = world.checkpoints(connection)
        rows = {each.name: world.actual(each, connection) for each in world.projections}
        journal = world.journal(connection)
    at: dict[str, dict[int, int]] = {JOURNAL.name: {}, **{name: {} for name in rows}}
    for (reader, partition), offset in found.items():
        at.setdefault(reader, {})[partition] = offset
    # A worker may have folded what the writer has not noted yet.
    noted = [(each, n, offset) for each in (JOURNAL.name, *rows) for n, offset in at[each].items()]
    assert wait_until(lambda: all(offset <= world.ends.get((world.topic, n), 0) for _, n, offset in noted), 30), (
        f"checkpoints {noted} are beyond what was committed, {world.ends}"
    )
    for each in world.projections:
        assert rows[each.name] == world.expected(each, at[each.name]), f"{each.name} is no fold at {at[each.name]}"
    assert journal == world.journal_expected(at[JOURNAL.name])


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
        written: list[Recorded] = []
        ends: dict[tuple[str, int], int] = {}
        self._producer.begin_transaction()
        for event in events:
            version = versions[event.account_id] = versions.get(event.account_id, 0) + 1
            command = f"{event.account_id}:{version}"
            meta = EventMetadata(f"{command}-1", command, command, command, version, int((time.time() - age_s) * 1000))
            self.raw(event.account_id.encode(), self._encode(event, meta), ends, partial(_note, written, event, meta))
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

    def raw(
        self,
        key: bytes,
        data: bytes,
        ends: dict[tuple[str, int], int],
        note: Callable[[int, int], object] = lambda partition, offset: None,
    ) -> None:
        def delivered(error: object, message: Any) -> None:
            assert error is None, error
            ends[message.topic(), message.partition()] = message.offset() + 1
            note(message.partition(), message.offset())

        while True:
            try:
                self._producer.produce(self.world.topic, data, key, on_delivery=delivered)
                break
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: deliveries make room
        self._producer.poll(0)


def _note(written: list[Recorded], event: Event, meta: EventMetadata, partition: int, offset: int) -> None:
    written.append(Recorded(partition, offset, event, meta))


def purchases(
    chance: random.Random, count: int, keys: int, known: dict[str, int], *, days: int = 365, refunds: float = 0.1
) -> list[AccountEvent]:
    """Return random events that an account could have; `refunds`: the share of them that are refunds."""
    opened = set(known)
    events: list[AccountEvent] = []
    for number in range(count):
        key, day = f"acc-{chance.randrange(keys):05d}", date(1997, 1, 1) + timedelta(chance.randrange(days))
        if key not in opened:
            opened.add(key)
            events.append(AccountOpened(account_id=key))
        elif chance.random() < refunds:
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
def world_of(name: str, bootstrap_servers: str, dsn: str, application: Application = shop) -> Iterator[World]:
    """Make the topics of an application with the shop's aggregates under another name, and register its schemas."""
    named, kafka = replace(application, name=name), Kafka(bootstrap_servers)
    prepare_topics(kafka, named, PARTITIONS, 1, 3600)
    register(kafka, dsn, named.subjects())
    prepare(dsn, named)
    begin(kafka, dsn, named)
    with TopicRegistry(kafka) as ids:
        yield World(named, kafka, dsn, ids)


class Workers:
    """Worker processes of one world, by name. They end with the test."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.ports: dict[str, int] = {}  # of the webs of those that have one
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.exits: list[int] = []
        self._all: list[subprocess.Popen[bytes]] = []
        self._group = f"{world.application.name}-{GROUP_SUFFIX}"

    def start(self, name: str, strike: str = "") -> "subprocess.Popen[bytes]":
        """Start one; `strike`: what happens to it, as `tests/worker/strikes.py` reads it."""
        arguments = [
            self.world.application.name,
            self.world.kafka.bootstrap_servers,
            self.world.dsn,
            str(self.folder / name),
        ]
        command = [sys.executable, "-m", "tests.worker.child", *arguments]
        watch = {"KAFOLD_TEST_WATCH": str(self.ports[name])} if name in self.ports else {}
        environment = {**os.environ, **self.environment, **watch, STRIKE: strike}
        with (self.folder / f"{name}.log").open("ab") as log:
            child = self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self._all.append(child)
        return child

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

    def end(self, name: str) -> None:
        """End one as nothing but kill -9 does, for good."""
        child = self.running.pop(name)
        child.kill()
        child.wait()

    def stop(self, name: str) -> int:
        """Tell one to stop, and return its exit code."""
        self.running[name].terminate()
        return self.running.pop(name).wait(STOP_S_MAX)

    def suspend(self, name: str) -> None:
        """Stop one where it stands."""
        self.running[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a suspended one go on."""
        self.running[name].send_signal(signal.SIGCONT)

    def bury(self, name: str) -> int:
        """Have Kafka forget the only one, which died, as it does after the session timeout; return its exit code."""
        code = self.running.pop(name).wait()
        assert not self.running, "others live"
        bury(self.world.kafka, self._group)
        return code

    def have_joined(self) -> bool:
        """Whether all are in their group. Those that were killed just now count too."""
        return len(members(self.world.kafka, self._group)) >= len(self.running)

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
        for process in self._all:
            process.kill()
            process.wait()
