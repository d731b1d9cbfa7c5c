"""`projections`: a backlog of a million events over 100,000 keys, folded live into PostgreSQL by one worker.

Three ways over the same topic (same bytes, partitions and backlog, written before the clock starts), in alternating
runs:

- `worker`: the kafold worker as it ships: journal, checkpoints, rows of `customer_summary`, metrics and figures. The
  clock runs from the partitions' assignment to the last checkpoint.
- `fold_loop`: confluent-kafka `consume`, decode, fold in memory; no database. The better of batches of 500 and 5,000.
- `bare_faust`: a plain Faust agent that decodes each event and folds it into a Faust table. It takes minutes for the
  backlog, so that its speed is that of its first seconds.

Then, at a steady 1,000 commands a second, how long after a command was accepted its row is visible (`visibility.py`).
"""

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import date
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition
from psycopg.conninfo import make_conninfo

from infra.engines import Endpoints
from infra.waiting import wait_until
from schemas.metadata import EventMetadata
from schemas.shop.accounts import AccountEvent, AccountOpened, PurchaseRecorded
from streams.domain.shop.accounts import account
from streams.domain.shop.app import shop
from streams.domain.shop.projections import customer_summary
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry, register
from streams.kafka.topics import prepare_topics
from streams.kernel.application import Application
from streams.postgres.setup import prepare
from tests.benchmarks.measuring import alternating, engines_for_benchmarks, percentile, report, say, summary
from tests.benchmarks.processes import process
from tests.benchmarks.visibility import Steady

EVENTS = 1_000_000
KEYS = 100_000
PARTITIONS = 4
BARE_FAUST_S = 15.0
DEDUPE_WINDOW_S = 3600


def application(name: str) -> Application:
    """Return the accounts with one projection, under another name."""
    return replace(shop, name=name, aggregates=[account], projections=[customer_summary], process_managers=[])


def main(as_json: bool, events: int = EVENTS, keys: int = KEYS, runs: int = 5) -> None:
    """Measure, and report the ratios."""
    with engines_for_benchmarks() as endpoints:
        kafka = Kafka(endpoints.bootstrap_servers)
        app = application("bench")
        set_up(kafka, endpoints.dsn, app)
        say(f"writing {events:,} events over {keys:,} keys")
        with TopicRegistry(kafka) as ids:
            ends = write(kafka, app, ids, events, keys)
            bench = Bench(endpoints, app, ids, ends, events)
            figures = alternating(
                {"worker": bench.worker, "fold_loop": bench.fold_loop, "bare_faust": bench.bare_faust}, runs
            )
            visible = bench.visible_ms()
    medians = {name: statistics.median(rates) for name, rates in figures.items()}
    report(
        {
            "events": events,
            "keys": keys,
            "ratio_to_bare_faust_table": round(medians["worker"] / medians["bare_faust"], 2),
            "ratio_to_fold_loop": round(medians["worker"] / medians["fold_loop"], 3),
            "visible_p50_ms": round(percentile(visible, 0.5), 1),
            "visible_p99_ms": round(percentile(visible, 0.99), 1),
            "events_a_s": {name: summary(rates) for name, rates in figures.items()},
        },
        as_json,
    )


def set_up(kafka: Kafka, dsn: str, app: Application) -> None:
    """Make topics, schemas and tables."""
    prepare_topics(kafka, app, PARTITIONS, 1, DEDUPE_WINDOW_S)
    register(kafka, dsn, app.subjects())
    prepare(dsn, app)


def write(kafka: Kafka, app: Application, ids: TopicRegistry, count: int, keys: int) -> dict[int, int]:
    """Write a backlog in transactions of 5,000; return each partition's last offset + 1."""
    topic, encode, chance = app.topics(account).events, app.event_codec(account, ids).encode, random.Random(1)
    producer = Producer(kafka.producer(transactional_id="backlog", linger_ms=20))
    producer.init_transactions()
    versions: dict[str, int] = {}
    producer.begin_transaction()
    for number in range(count):
        event, meta = an_event(chance, number, keys, versions)
        producer.produce(topic, encode(event, meta), event.account_id.encode())
        if number % 5000 == 4999:
            producer.commit_transaction()
            producer.begin_transaction()
        elif number % 500 == 0:
            producer.poll(0)
    producer.commit_transaction()
    return last_offsets(kafka, topic)


def an_event(
    chance: random.Random, number: int, keys: int, versions: dict[str, int]
) -> tuple[AccountEvent, EventMetadata]:
    """Return one account's next event."""
    key = f"account-{chance.randrange(keys):06d}"
    version = versions[key] = versions.get(key, 0) + 1
    meta = EventMetadata(f"{number:032x}-1", f"{number:032x}", f"{number:032x}", f"{number:032x}", version, number)
    if version == 1:
        return AccountOpened(account_id=key), meta
    day = date(1997, 1 + number % 12, 1 + number % 28)
    return PurchaseRecorded(
        account_id=key, purchase_id=f"p{number}", day=day, quantity=1 + number % 3, amount_cents=number % 5000
    ), meta


def last_offsets(kafka: Kafka, topic: str) -> dict[int, int]:
    """Return by partition the offset after the last committed record."""
    consumer = Consumer(kafka.consumer(group_id="ends"))
    ends = {}
    for partition in range(PARTITIONS):
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition))
        consumer.assign([TopicPartition(topic, partition, max(0, high - 50))])
        ends[partition] = max(record.offset() + 1 for record in consumer.consume(50, 2.0))
    consumer.close()
    return ends


class Bench:
    """The ways to be measured, over one backlog."""

    bare_faust_s = BARE_FAUST_S

    def __init__(
        self, endpoints: Endpoints, app: Application, ids: TopicRegistry, ends: dict[int, int], events: int
    ) -> None:
        """Take where the backlog is and where it ends."""
        self.kafka = Kafka(endpoints.bootstrap_servers)
        self.dsn = endpoints.dsn
        self.app = app
        self.ids = ids
        self.ends = ends
        self.events = events
        self.topic = app.topics(account).events
        self.run = 0

    def worker(self) -> float:
        """Return the worker's events per second, into a fresh database."""
        with (
            self.fresh_database() as dsn,
            self.worker_process(dsn) as check_alive,
            psycopg.connect(dsn, autocommit=True) as connection,
        ):
            query = (
                "SELECT count(*), min(updated_at), max(updated_at), "
                "bool_and(next >= (%s::bigint[])[partition + 1]) FROM kafold.checkpoints"
            )
            goal = [[self.ends[partition] for partition in range(PARTITIONS)]]
            readers = 2 * PARTITIONS

            def state() -> tuple[int, float, float, bool]:
                check_alive()
                count, first, last, reached = connection.execute(query, goal).fetchone() or (0, None, None, False)
                return count, first.timestamp() if first else 0.0, last.timestamp() if last else 0.0, bool(reached)

            wait_until(lambda: state()[0] == readers, 60, 0.005)
            began = state()[1]
            if not wait_until(lambda: state()[3], 120, 0.05):
                raise RuntimeError("the worker did not get through the backlog in two minutes")
            return self.events / (state()[2] - began)

    def fold_loop(self) -> float:
        """Return the better speed of two batch sizes, without any database."""
        return max(self.folded(500), self.folded(5000))

    def folded(self, batch: int) -> float:
        """Consume, decode and fold in memory; return events per second."""
        self.run += 1
        decode = self.app.event_codec(account, self.ids).decode
        consumer = Consumer(self.kafka.consumer(group_id=f"fold-{self.run}", queued_min_messages=200_000))
        consumer.assign([TopicPartition(self.topic, partition, 0) for partition in range(PARTITIONS)])
        rows: dict[Any, Any] = {}
        done, began = 0, 0.0
        project, new_row, key_of = customer_summary.project, customer_summary.new_row, customer_summary.key_of
        while done < self.events:
            records = consumer.consume(batch, 1.0)
            began = began or time.perf_counter()
            for record in records:
                event, meta = decode(record.value())
                key = key_of(event)
                row = rows.get(key)
                rows[key] = project(new_row(key) if row is None else row, event, meta)
            done += len(records)
        rate = self.events / (time.perf_counter() - began)
        consumer.close()
        return rate

    def bare_faust(self) -> float:
        """Return the events per second of a plain Faust agent with a table, in its first seconds."""
        self.run += 1
        name = f"barefaust{self.run}"
        arguments = [name, self.kafka.bootstrap_servers, self.topic, str(self.bare_faust_s)]
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.benchmarks.bare_faust_loop", *arguments, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if "events a second:" not in done.stdout:
            raise RuntimeError(done.stderr[-2000:])
        return float(done.stdout.rpartition("events a second:")[2].split()[0])

    def visible_ms(self) -> list[float]:
        """Return for each of a steady stream of commands how long after it was accepted its row was visible."""
        app = application("steady")
        set_up(self.kafka, self.dsn, app)
        processor = process("processor_loop", app.name, self.kafka.bootstrap_servers)
        with processor as processor_alive, self.worker_process(self.dsn, app.name) as worker_alive:

            def check_alive() -> None:
                processor_alive()
                worker_alive()

            return Steady(self.kafka, self.dsn, app, self.ids, PARTITIONS).latencies_ms(check_alive)

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yield a database of its own, prepared."""
        self.run += 1
        name = f"bench{self.run}"
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
            dsn = make_conninfo(self.dsn, dbname=name)
            prepare(dsn, self.app)
            # Every run starts with the same debts to the disk.
            admin.execute("CHECKPOINT")
            yield dsn
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def worker_process(self, dsn: str, name: str = "bench") -> AbstractContextManager[Callable[[], None]]:
        """Run a worker in a process of its own."""
        return process("worker_loop", name, self.kafka.bootstrap_servers, dsn)
