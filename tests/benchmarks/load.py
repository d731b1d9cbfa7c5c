"""`load`: a 100-event aggregate out of a million events, and out of ten million, decoded into typed events.

Its peer `eventsourcing` loads the typed events of an aggregate of 100 events out of a million, on the same PostgreSQL,
in alternation. Neither folds them into a state. Each run loads other aggregates, at random. Both were just filled, and
ten times as many events after them, so that a first run of each finds most pages on the disk and brings most of them
into the database's memory: it is told apart, as `first_run_p50_ms`.

`explain_p50_ms`: what `kafold projections explain` takes for a row that a hundred events made, connections included.
"""

import random
import time
from collections.abc import Callable
from functools import partial

from infra.engines import Endpoints
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary
from streams.event_store.causes import explain_row
from streams.event_store.reading import JournalReader
from streams.kafka.config import Kafka
from streams.kernel.partitioner import partition_of
from tests.benchmarks.eventsourcing_loop import FilledPeer
from tests.benchmarks.journal_loop import EVENTS_EACH, PARTITIONS, FilledJournal
from tests.benchmarks.measuring import alternating, engines_for_benchmarks, percentile, report, say, summary

EVENTS = 1_000_000
TIMES = 10
LOADS = 400
WARM_UP = 20


class Measured:
    """One way of loading: its latencies over all runs, and the median of each run."""

    def __init__(self, load: Callable[[str], object], keys: list[str]) -> None:
        """Load nothing yet."""
        self.load, self.keys = load, keys
        self.taken_s: list[float] = []
        self._chosen = random.Random(1)

    def run(self) -> float:
        """Do one run, and return its median in milliseconds."""
        for key in self._chosen.sample(self.keys, WARM_UP):
            self.load(key)
        taken = [self._seconds(key) for key in self._chosen.sample(self.keys, LOADS)]
        self.taken_s += taken
        return percentile(taken, 0.5) * 1e3

    def first_run(self) -> float:
        """Do a run that does not count, and return its median in milliseconds."""
        median = self.run()
        self.taken_s.clear()
        return median

    def p99_ms(self) -> float:
        """Return the 99th percentile of all runs."""
        return percentile(self.taken_s, 0.99) * 1e3

    def _seconds(self, key: str) -> float:
        started = time.perf_counter()
        self.load(key)
        return time.perf_counter() - started


def checked(load: Callable[[str], object], key: str) -> None:
    """Refuse to measure what does not load a hundred events."""
    count = len(load(key))  # type: ignore[arg-type]
    if count != EVENTS_EACH:
        raise RuntimeError(f"{key} has {count} events, not {EVENTS_EACH}")


def decoding(journal: FilledJournal, reader: JournalReader) -> Callable[[str], object]:
    """Return what decodes an aggregate's events, read once and for all: the events are as good as any others."""
    key = journal.keys[0]
    decode = journal.application.event_codec(account, journal.ids).decode
    found = reader.read(key, partition_of(key.encode(), PARTITIONS)).bodies
    return lambda _key: [decode(data) for data in found]


def explaining(journal: FilledJournal) -> Callable[[str], object]:
    """Return what explains the row of an account."""

    def causes(key: str) -> object:
        found = explain_row(
            journal.application, customer_summary, key,
            kafka=Kafka("127.0.0.1:1"),  # a row that is keyed by its aggregate needs none
            dsn=journal.dsn, ids=journal.ids, partitions=PARTITIONS,
        )  # fmt: skip
        return found.causes

    return causes


def main(as_json: bool) -> None:
    """Measure all of it on fresh engines."""
    with engines_for_benchmarks() as endpoints:
        report(measured(endpoints), as_json)


def measured(endpoints: Endpoints) -> dict[str, object]:
    """Fill the databases, measure, and return the figures."""
    say(f"filling {EVENTS:,} events of the peer")
    peer = FilledPeer(endpoints.dsn, EVENTS // EVENTS_EACH)
    say(f"filling {EVENTS:,} events")
    journal = FilledJournal(endpoints, EVENTS // EVENTS_EACH)
    say(f"filling {EVENTS * TIMES:,} events")
    large = FilledJournal(endpoints, EVENTS * TIMES // EVENTS_EACH)
    with journal.store() as store, large.store() as large_store:
        reader = JournalReader(endpoints.dsn, journal.application.name, journal.topic)
        ways = {
            "kafold": Measured(store.load, journal.keys),
            "eventsourcing": Measured(peer.load, peer.keys),
            "kafold_10x": Measured(large_store.load, large.keys),
            "database": Measured(partial(read, reader), journal.keys),
            "decode": Measured(decoding(journal, reader), journal.keys),
            "explain": Measured(explaining(journal), journal.keys),
        }
        for name in ("kafold", "eventsourcing", "kafold_10x", "explain"):
            checked(ways[name].load, ways[name].keys[0])
        # Those that are compared alternate; what they are made of is measured apart, or it would warm up one of them,
        # and so is the large journal, which would push both others out of the database's memory.
        first = {name: ways[name].first_run() for name in ("kafold", "eventsourcing")}
        taken = alternating({name: ways[name].run for name in ("kafold", "eventsourcing")})
        p99 = {name: ways[name].p99_ms() for name in taken}
        first["kafold_10x"] = ways["kafold_10x"].first_run()
        tenfold = alternating({name: ways[name].run for name in ("kafold", "kafold_10x")})
        taken |= alternating({name: ways[name].run for name in ("database", "decode", "explain")})
        figures = {name: summary(runs) for name, runs in (taken | {"kafold_10x": tenfold["kafold_10x"]}).items()}
        reader.close()
    peer.close()
    p50 = {name: figure["median"] for name, figure in figures.items()}
    return {
        "p50_ms": p50["kafold"],
        "p99_ms": p99["kafold"],
        "p99_ms_eventsourcing": p99["eventsourcing"],
        "database_p50_ms": p50["database"],
        "decode_p50_ms": p50["decode"],
        "explain_p50_ms": p50["explain"],
        "ratio_to_eventsourcing": p50["kafold"] / p50["eventsourcing"],
        "p50_ratio_10x_events": p50["kafold_10x"] / summary(tenfold["kafold"])["median"],
        "first_run_p50_ms": first,
        "runs_p50_ms": figures,
    }


def read(reader: JournalReader, key: str) -> object:
    """Read an aggregate's raw events."""
    return reader.read(key, partition_of(key.encode(), PARTITIONS))
