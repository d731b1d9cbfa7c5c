"""`commands`: the write side's throughput and latency through Kafka, beside a bare loop and beside `eventsourcing`."""

import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

from confluent_kafka import Producer

from infra.engines import Endpoints
from schemas.metadata import CommandMetadata
from schemas.shop.accounts import OpenAccount, RecordPurchase
from streams.domain.shop.app import shop
from streams.garbage import collected_by_hand
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry, register
from streams.kafka.topics import prepare_topics
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from tests.benchmarks.ask_loop import BROKER_WARM_UP, ask_latencies_s, bare_transaction_latencies_s
from tests.benchmarks.bare_loop import run_bare_loop
from tests.benchmarks.eventsourcing_loop import run_eventsourcing
from tests.benchmarks.measuring import RUNS, alternating, engines_for_benchmarks, percentile, report, say, summary

PARTITIONS = 4
COMMANDS = 300_000  # ten seconds: twice the interval at which local state is written
ACCOUNTS = 20_000
SCALING_RUNS = 2  # each opens a million accounts
DAY = date(1997, 1, 1)
DEDUPE_WINDOW_S = 7 * 24 * 3600
EVENT_AND_OUTCOME_BYTES = (165, 110)  # what a PurchaseRecorded and its outcome take; printed by `sizes`


class Backlog:
    """An application of its own with its accounts open, and a backlog of purchases that nobody has processed."""

    def __init__(self, endpoints: Endpoints, accounts: int, commands: int) -> None:
        """Make the topics and produce everything before any clock starts."""
        self.kafka = Kafka(endpoints.bootstrap_servers)
        self.application: Application = replace(shop, name=f"bench{uuid.uuid4().hex[:8]}")
        prepare_topics(self.kafka, self.application, PARTITIONS, 1, DEDUPE_WINDOW_S)
        register(self.kafka, endpoints.dsn, self.application.subjects())
        self.ids = TopicRegistry(self.kafka)
        self.aggregate = self.application.aggregate("account")
        self.codec = self.application.command_codec(self.aggregate, self.ids)
        self.producer = Producer(self.kafka.producer(linger_ms=20, queue_buffering_max_messages=1_000_000))
        self.accounts, self.commands = accounts, commands

    def open_accounts(self) -> None:
        """Produce one OpenAccount an account."""
        topic = self.application.topics(self.aggregate).commands
        for number in range(self.accounts):
            key = f"a{number}"
            data = self.codec.encode(
                OpenAccount(account_id=key), CommandMetadata(str(uuid.uuid4()), expected_version=0)
            )
            self.producer.produce(topic, data, key)
        self.producer.flush()

    def record_purchases(self) -> None:
        """Produce the purchases, round robin over the accounts, each with the exact version that it expects."""
        topic = self.application.topics(self.aggregate).commands
        for number in range(self.commands):
            turn, account = divmod(number, self.accounts)
            key = f"a{account}"
            purchase = RecordPurchase(account_id=key, purchase_id=f"{number}", day=DAY, quantity=1, amount_cents=number)
            data = self.codec.encode(purchase, CommandMetadata(str(uuid.uuid4()), expected_version=turn + 1))
            self.producer.produce(topic, data, key)
            if number % 10_000 == 0:
                self.producer.poll(0)
        self.producer.flush()

    def processor(self) -> CommandProcessor:
        """Return a processor that owns every partition."""
        state = Path(tempfile.mkdtemp(prefix="kafold-bench-state-"))
        processor = CommandProcessor(self.application, self.kafka, self.ids, PARTITIONS, state)
        while len(processor.owned) < len(self.application.aggregates) * PARTITIONS:
            processor.turn()
        return processor


def processing_rate(endpoints: Endpoints, accounts: int = ACCOUNTS, commands: int = COMMANDS) -> float:
    """Return commands per second of the command processor over a backlog, everything on."""
    backlog = Backlog(endpoints, accounts, commands)
    backlog.open_accounts()
    processor = backlog.processor()
    with collected_by_hand() as garbage:
        done = 0
        while done < accounts:
            done += processor.turn()
        backlog.record_purchases()
        done, started = 0, 0.0
        while done < commands:
            count = processor.turn()
            started = started or time.perf_counter()
            garbage.maybe_collect(idle=count == 0)
            done += count
        rate = commands / (time.perf_counter() - started)
    processor.close()
    return rate


def bare_rate(endpoints: Endpoints, batch: int) -> float:
    """Return commands per second of the bare loop over the same bytes."""
    backlog = Backlog(endpoints, ACCOUNTS, COMMANDS)
    backlog.record_purchases()
    topics = backlog.application.topics(backlog.aggregate)
    schema = backlog.codec.schemas[RecordPurchase]
    names = topics.commands, topics.events, topics.outcomes
    return run_bare_loop(backlog.kafka, names, schema, EVENT_AND_OUTCOME_BYTES, COMMANDS, batch)


def throughput(endpoints: Endpoints) -> dict[str, object]:
    """Measure throughput against the bare loop (the better of two batch sizes) and against `eventsourcing`."""
    measures: dict[str, Callable[[], float]] = {
        "kafold": partial(processing_rate, endpoints),
        "bare_500": partial(bare_rate, endpoints, 500),
        "bare_5000": partial(bare_rate, endpoints, 5_000),
        "eventsourcing": partial(run_eventsourcing, endpoints.dsn),
    }
    figures = {name: summary(values) for name, values in alternating(measures).items()}
    rates = {name: figure["median"] for name, figure in figures.items()}
    return {
        "commands_per_s": figures,
        "ratio_to_bare_transactional_loop": rates["kafold"] / max(rates["bare_500"], rates["bare_5000"]),
        "ratio_to_eventsourcing": rates["kafold"] / rates["eventsourcing"],
    }


def latency(endpoints: Endpoints) -> dict[str, object]:
    """Measure one `ask` at a time against a bare one-event transaction."""
    backlog = Backlog(endpoints, 1, 0)
    ask = partial(ask_latencies_s, backlog.application, backlog.kafka, backlog.ids)
    transact = partial(bare_transaction_latencies_s, backlog.kafka, f"{backlog.application.name}.user.events")
    ask(BROKER_WARM_UP)
    transact(BROKER_WARM_UP)
    ours, bare, ratios = list[float](), list[float](), list[float]()
    for _ in range(RUNS):
        asked, transacted = ask(), transact()
        ours, bare = ours + asked, bare + transacted
        ratios.append(percentile(asked, 0.5) / percentile(transacted, 0.5))
        say(f"ask {percentile(asked, 0.5) * 1e3:.2f} ms, {ratios[-1]:.2f} of a bare transaction")
    return {
        "ask_ms": {"p50": percentile(ours, 0.5) * 1e3, "p99": percentile(ours, 0.99) * 1e3},
        "bare_transaction_ms": {"p50": percentile(bare, 0.5) * 1e3, "p99": percentile(bare, 0.99) * 1e3},
        "ask_p50_ratio_to_bare_transaction": percentile(ours, 0.5) / percentile(bare, 0.5),
        "ask_p50_ratios": summary(ratios),
    }


def scaling(endpoints: Endpoints) -> dict[str, object]:
    """Measure what a command costs among a million aggregates and among a thousand."""
    sizes = {"aggregates_1k": 1_000, "aggregates_1m": 1_000_000}
    measures = {name: partial(processing_rate, endpoints, accounts) for name, accounts in sizes.items()}
    figures = {name: summary(rates) for name, rates in alternating(measures, SCALING_RUNS).items()}
    few, many = (figures[name]["median"] for name in sizes)
    return {"scaling_commands_per_s": figures, "cost_ratio_1m_to_1k_aggregates": few / many}


def main(as_json: bool) -> None:
    """Measure all of it on fresh engines."""
    with engines_for_benchmarks() as endpoints:
        report({**latency(endpoints), **throughput(endpoints), **scaling(endpoints)}, as_json)
