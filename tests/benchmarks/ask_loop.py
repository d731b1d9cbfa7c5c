"""Latency of one command at a time: `ask`, and its baseline, a bare transaction of one event."""

import time
import uuid

from confluent_kafka import Producer

from producers.client import Client
from schemas.registry import SchemaIds
from schemas.shop.accounts import OpenAccount
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from tests.benchmarks.processes import process

ASKS = 1_000
WARM_UP = 20
START_S = 60
# For so long a fresh broker's compiler takes a third of the machine's time, and falls with the slower of both ways.
BROKER_WARM_UP = 4_000


def ask_latencies_s(application: Application, cluster: Kafka, ids: SchemaIds, asks: int = ASKS) -> list[float]:
    """Ask one command after the other, of a processor in a process of its own, and return how long each took."""
    taken = []
    with (
        process("processor_loop", application.name, cluster.bootstrap_servers) as check_alive,
        Client(application.contracts, cluster, ids) as client,
    ):
        client.ask(OpenAccount(account_id="the first one"), timeout_s=START_S)
        for _ in range(WARM_UP + asks):
            command = OpenAccount(account_id=uuid.uuid4().hex)
            started = time.perf_counter()
            client.ask(command)
            taken.append(time.perf_counter() - started)
        check_alive()
    return taken[WARM_UP:]


def bare_transaction_latencies_s(cluster: Kafka, topic: str, transactions: int = ASKS) -> list[float]:
    """Commit one event a transaction and return how long each took."""
    producer = Producer(cluster.producer(transactional_id=f"bare-{uuid.uuid4().hex}", linger_ms=0))
    producer.init_transactions()
    taken = []
    for number in range(WARM_UP + transactions):
        started = time.perf_counter()
        producer.begin_transaction()
        producer.produce(topic, bytes(165), b"key", number % 4)
        producer.commit_transaction()
        taken.append(time.perf_counter() - started)
    return taken[WARM_UP:]
