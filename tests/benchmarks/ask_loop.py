"""Latency of one command at a time: `ask`, and its baseline, a bare transaction of one event."""

import tempfile
import threading
import time
import uuid
from pathlib import Path

from confluent_kafka import Producer

from producers.client import Client
from schemas.registry import SchemaIds
from schemas.shop.accounts import OpenAccount
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor

ASKS = 1_000
WARM_UP = 20
# For so long a fresh broker's compiler takes a third of the machine's time, and falls with the slower of both ways.
BROKER_WARM_UP = 4_000


def ask_latencies_s(
    application: Application, cluster: Kafka, ids: SchemaIds, partitions: int, asks: int = ASKS
) -> list[float]:
    """Ask one command after the other and return how long each took."""
    stop = threading.Event()
    state = Path(tempfile.mkdtemp(prefix="kafold-bench-state-"))
    processor = CommandProcessor(application, cluster, ids, partitions, state)
    thread = threading.Thread(target=processor.run, args=(stop.is_set,))
    thread.start()
    taken = []
    try:
        with Client(application.contracts, cluster, ids) as client:
            for _ in range(WARM_UP + asks):
                command = OpenAccount(account_id=uuid.uuid4().hex)
                started = time.perf_counter()
                client.ask(command)
                taken.append(time.perf_counter() - started)
    finally:
        stop.set()
        thread.join()
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
