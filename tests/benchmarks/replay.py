"""`replay`: a projection built from the log in bulk, in ratios to other ways over the same bytes.

A backlog over 100,000 keys is written before any clock starts; `BENCH_EVENTS` says how large it is (a million unless
set), and a second one has ten times as many. In alternating runs:

- `replay`: `kafold replay --processes 1`, with its saves, from its plan to its handover; `as_shipped` the same without
  that option, so with a process for each core (`cores`), which start while the plan is made; `two_processes` with two;
  `row_per_event` as it ships, of a `RowPerEvent`; `row_by_hand` of a `Projection` that makes the same rows;
- `fold_loop`: confluent-kafka `consume`, decode, fold in memory; no database. The better of batches of 500 and 5,000;
- `per_event_upsert`: the same loop which loads a row, folds and upserts for each event, with its checkpoint in one
  transaction, as every other way here keeps it; `without_checkpoint`: without, so that a crash would fold events twice.
  Both in their first seconds;
- `copy`: psycopg's binary COPY of the purchases' rows, ready in memory, into a table like the projection's;
- `quixstreams`, `bare_faust`: peers with state, in their first seconds.

A second process takes 0.3 s to start, so what two are worth is told of the large backlog, and of the small one too.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition
from psycopg import sql

from infra.engines import Endpoints
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.postgres.connection import Connection, connect_to_fold
from streams.postgres.setup import define_table
from streams.postgres.tables import table_of
from tests.benchmarks.measuring import alternating, engines_for_benchmarks, report, say, summary
from tests.benchmarks.projections import PARTITIONS, Bench, set_up, write
from tests.benchmarks.replay_loop import before, by_hand, purchases

EVENTS = 1_000_000
KEYS = 100_000
FIRST_S = 10.0
LARGE = 10
LARGE_RUNS = 2
QUICK_EVENTS, QUICK_KEYS, QUICK_S = 100_000, 10_000, 3.0


def quick(as_json: bool) -> None:
    """Measure once, on a tenth of the data."""
    main(as_json, QUICK_EVENTS, QUICK_KEYS, runs=1, first_s=QUICK_S)


def main(as_json: bool, events: int | None = None, keys: int = KEYS, runs: int = 3, first_s: float = FIRST_S) -> None:
    """Measure, and report the ratios."""
    events = events or int(os.environ.get("BENCH_EVENTS", EVENTS))
    with ExitStack() as stack:
        endpoints = stack.enter_context(engines_for_benchmarks())
        for name in ("bench", "benchlarge"):
            set_up(Kafka(endpoints.bootstrap_servers), endpoints.dsn, before(name))
        ids = stack.enter_context(TopicRegistry(Kafka(endpoints.bootstrap_servers)))
        one = ReplayBench.written(endpoints, ids, "bench", events, keys)
        one.first_s = one.bare_faust_s = first_s
        figures = alternating(
            {
                "replay": lambda: one.replay(processes=1), "fold_loop": one.fold_loop,
                "two_processes": lambda: one.replay(processes=2), "as_shipped": one.replay,
                "per_event_upsert": one.per_event_upsert, "without_checkpoint": one.without_checkpoint,
                "row_per_event": one.row_per_event, "row_by_hand": one.row_by_hand, "copy": one.copy,
                "quixstreams": one.quixstreams, "bare_faust": one.bare_faust,
            },
            runs,
        )  # fmt: skip
        large = ReplayBench.written(endpoints, ids, "benchlarge", LARGE * events, keys)
        figures |= alternating(
            {
                "replay_large": lambda: large.replay(processes=1),
                "two_processes_large": lambda: large.replay(processes=2),
            },
            LARGE_RUNS,
        )
    median = {name: statistics.median(rates) for name, rates in figures.items()}
    report(
        {
            "events": events,
            "keys": keys,
            "cores": len(os.sched_getaffinity(0)),
            "ratio_to_per_event_upsert": round(median["as_shipped"] / median["per_event_upsert"], 1),
            "ratio_to_per_event_upsert_one_process": round(median["replay"] / median["per_event_upsert"], 1),
            "ratio_to_per_event_upsert_without_checkpoint": round(
                median["as_shipped"] / median["without_checkpoint"], 1
            ),
            "ratio_to_fold_loop": round(median["replay"] / median["fold_loop"], 3),
            "ratio_two_processes": round(median["two_processes_large"] / median["replay_large"], 2),
            "ratio_two_processes_1m": round(median["two_processes"] / median["replay"], 2),
            "rate_ratio_10m_to_1m": round(median["replay_large"] / median["replay"], 2),
            "row_per_event_ratio_to_copy": round(median["row_per_event"] / median["copy"], 3),
            "row_by_hand_ratio_to_copy": round(median["row_by_hand"] / median["copy"], 3),
            "ratio_to_quixstreams": round(median["replay"] / median["quixstreams"], 2),
            "ratio_to_bare_faust_table": round(median["replay"] / median["bare_faust"], 2),
            "events_a_s": {name: summary(rates) for name, rates in figures.items()},
        },
        as_json,
    )


class ReplayBench(Bench):
    """The ways to be measured, over one backlog. `first_s`: for how long those are that would take minutes."""

    first_s = FIRST_S

    @classmethod
    def written(cls, endpoints: Endpoints, ids: TopicRegistry, name: str, events: int, keys: int) -> "ReplayBench":
        """Write the backlog."""
        kafka, app = Kafka(endpoints.bootstrap_servers), before(name)
        say(f"writing {events:,} events over {keys:,} keys")
        return cls(endpoints, app, ids, write(kafka, app, ids, events, keys), events)

    def replay(self, projection: str = customer_summary.name, processes: int = 0) -> float:
        """Return a replay's events per second, into a fresh database. `processes`: 0 leaves it to the replay."""
        with self.fresh_database() as dsn, TemporaryDirectory() as home:
            arguments = [self.app.name, self.kafka.bootstrap_servers, dsn, home, projection, str(processes)]
            return self.events / float(printed("tests.benchmarks.replay_loop", arguments, "seconds:", 3600))

    def row_per_event(self) -> float:
        """Return the events per second of a replay that makes a row of each purchase."""
        return self.replay(purchases.name)

    def row_by_hand(self) -> float:
        """Return the same by a `project` that somebody wrote."""
        return self.replay(by_hand.name)

    def per_event_upsert(self) -> float:
        """Return the events per second of a loop that loads, folds and upserts each event, with its checkpoint."""

        def transact(connection: Connection, upsert: Callable[[], None], record: Any) -> None:
            with connection.transaction():
                upsert()
                connection.execute("UPDATE at SET next = %s WHERE part = %s", [record.offset() + 1, record.partition()])

        return self._upserting(transact)

    def without_checkpoint(self) -> float:
        """Return the same without its checkpoint."""
        return self._upserting(lambda _connection, upsert, _record: upsert())

    def _upserting(self, transact: Callable[[Connection, Callable[[], None], Any], None]) -> float:
        table, decode = table_of(self.app.name, customer_summary), self.app.event_codec(account, self.ids).decode
        columns = [sql.Identifier(each.name) for each in table.shape.columns]
        load = sql.SQL("SELECT {} FROM {} WHERE {} = %s").format(sql.SQL(", ").join(columns), table.name, columns[0])
        insert = sql.SQL("INSERT INTO {} VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
            table.name, sql.SQL(", ").join(sql.Placeholder() * len(columns)), columns[0],
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(each) for each in columns[1:]),
        )  # fmt: skip
        done, began = 0, 0.0

        def upsert(record: Any) -> None:
            event, meta = decode(record.value())
            key = customer_summary.key_of(event)
            found = connection.execute(load, [key]).fetchone()
            row = customer_summary.new_row(key) if found is None else table.shape.from_columns(found)
            after: Any = customer_summary.project(row, event, meta)
            connection.execute(insert, table.shape.to_columns(after))

        with self.fresh_database() as dsn, connect_to_fold(dsn, "per event") as connection:
            connection.execute("CREATE TABLE at AS SELECT part, 0::bigint AS next FROM generate_series(0, 15) AS part")
            for record in self.records():
                began = began or time.perf_counter()
                transact(connection, partial(upsert, record), record)
                done += 1
                if time.perf_counter() - began > self.first_s:
                    break
        return done / (time.perf_counter() - began)

    def copy(self) -> float:
        """Return the events per second of a bare COPY of their rows, ready in memory (openings make none)."""
        table, decode = table_of(self.app.name, purchases), self.app.event_codec(account, self.ids).decode
        rows: list[tuple[Any, ...]] = []
        for record in self.records():
            event, meta = decode(record.value())
            if type(event) in purchases.event_types:
                key = purchases.key_of(event)
                made: Any = purchases.project(purchases.new_row(key), event, meta)
                rows.append(table.shape.to_columns(made))
        name = sql.Identifier("copied")
        with self.fresh_database() as dsn, psycopg.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute(define_table(name, table.shape))
            began = time.perf_counter()
            with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(name)) as copy:
                copy.set_types([each.type for each in table.shape.columns])
                for row in rows:
                    copy.write_row(row)
            connection.commit()
            return self.events / (time.perf_counter() - began)

    def quixstreams(self) -> float:
        """Return the events per second of quixstreams with state, in its first seconds."""
        self.run += 1
        with TemporaryDirectory() as folder:
            arguments = [
                f"quix{self.run}",
                self.kafka.bootstrap_servers,
                self.topic,
                str(self.first_s),
                folder,
                self.app.name,
            ]
            return float(printed("tests.benchmarks.quix_loop", arguments, "events a second:", 180))

    def records(self) -> Any:
        """Yield every record of the backlog."""
        self.run += 1
        consumer = Consumer(self.kafka.consumer(group_id=f"records-{self.run}", queued_min_messages=200_000))
        consumer.assign([TopicPartition(self.topic, partition, 0) for partition in range(PARTITIONS)])
        done = 0
        try:
            while done < self.events:
                records = consumer.consume(5000, 1.0)
                done += len(records)
                yield from records
        finally:
            consumer.close()


def printed(module: str, arguments: list[str], label: str, timeout_s: float) -> str:
    """Run a module in a process of its own, and return what it prints after a label."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    if label not in done.stdout:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.rpartition(label)[2].split()[0]
