"""Visibility: how long after a command was accepted its row is visible, at a steady 1,000 commands a second.

Commands go to Kafka one by one, a processor and a worker do the rest. A command is **accepted** when its outcome
arrives at a consumer of committed outcomes, as at any client; its row is **visible** when the checkpoint that somebody
else reads has passed its event. Each of the two is looked at by a thread of its own, or it would be seen late.
"""

import random
import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Consumer, TopicPartition

from infra.waiting import wait_until
from producers.client import Client
from schemas.messages import Command
from schemas.outcomes import Status
from schemas.registry import SchemaIds
from schemas.shop.accounts import OpenAccount, RecordPurchase
from streams.domain.shop.accounts import account
from streams.domain.shop.projections import customer_summary
from streams.kafka.config import Kafka
from streams.kernel.application import Application

COMMANDS_A_S = 1_000
STEADY_S = 15
WARM_UP_S = 5  # everybody's first transactions, statements and pages
ACCOUNTS = 10_000
LOOK_S = 0.003
LINGER_MS = 5
TOGETHER = COMMANDS_A_S * LINGER_MS // 1000  # who wakes up for each command takes a fifth of a core from the others
START_S = 60


class AcceptedEvent(NamedTuple):
    """An accepted command's event, and when its sender could know."""

    partition: int
    offset: int
    at_s: float


class Moved(NamedTuple):
    """A checkpoint, when it was first seen there."""

    next_offset: int
    at_s: float


class Steady:
    """One stream of commands over fresh topics. The processor and the worker run already."""

    def __init__(self, kafka: Kafka, dsn: str, app: Application, ids: SchemaIds, partitions: int) -> None:
        """Start nothing yet."""
        self._kafka, self._dsn, self._app, self._ids = kafka, dsn, app, ids
        self._partitions = range(partitions)
        self._accepted: list[AcceptedEvent] = []
        self._moved: dict[int, list[Moved]] = {partition: [] for partition in self._partitions}
        self._stopped = threading.Event()

    def latencies_ms(self, check_alive: Callable[[], None]) -> list[float]:
        """Send the commands, wait until every row is visible, and return each command's latency after the warm-up."""
        consumer = self._consumer()
        threads = [threading.Thread(target=self._accept, args=[consumer]), threading.Thread(target=self._look)]
        for thread in threads:
            thread.start()
        try:
            began_s, sent = self._send(check_alive)
            if not wait_until(lambda: len(self._accepted) == sent and self._all_visible(), 60):
                raise RuntimeError(f"of {sent} commands {len(self._accepted)} were accepted, and not all became rows")
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()
            consumer.close()
        counted = [each for each in self._accepted if each.at_s >= began_s + WARM_UP_S]
        return [1000 * latency for latency in latencies_s(counted, self._moved)]

    def _consumer(self) -> Consumer:
        topic = self._app.topics(account).outcomes
        consumer = Consumer(self._kafka.consumer(group_id=f"steady-{uuid.uuid4()}", fetch_wait_max_ms=100))
        consumer.assign([TopicPartition(topic, partition, 0) for partition in self._partitions])
        return consumer

    def _send(self, check_alive: Callable[[], None]) -> tuple[float, int]:
        """Send the commands; return since when, and how many were accepted or will be."""
        count = COMMANDS_A_S * (WARM_UP_S + STEADY_S)
        with Client(self._app.contracts, self._kafka, self._ids, LINGER_MS) as client:
            client.ask(OpenAccount(account_id="the first one"), timeout_s=START_S)
            if not wait_until(lambda: all(self._moved.values()), START_S):
                raise RuntimeError("the worker did not begin")
            began_s = time.perf_counter()
            for number, command in enumerate(commands(count)):
                if number % TOGETHER == 0:
                    time.sleep(max(0.0, began_s + number / COMMANDS_A_S - time.perf_counter()))
                client.send(command)
                if number % COMMANDS_A_S == 0:
                    check_alive()
        return began_s, count + 1

    def _accept(self, consumer: Consumer) -> None:
        decode = self._app.contracts[0].outcome_codec(self._ids).decode
        while not self._stopped.is_set():
            records = consumer.consume(500, 0.01)
            now_s = time.perf_counter()
            for record in records:
                outcome = decode(record.value())
                if outcome.status == Status.ACCEPTED:
                    self._accepted.append(AcceptedEvent(record.partition(), outcome.offsets[-1], now_s))

    def _look(self) -> None:
        query = "SELECT partition, next FROM kafold.checkpoints WHERE application = %s AND projection = %s"
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stopped.wait(LOOK_S):
                found = connection.execute(query, [self._app.name, customer_summary.name]).fetchall()
                now_s = time.perf_counter()
                for partition, next_offset in found:
                    moved = self._moved[partition]
                    if not moved or moved[-1].next_offset < next_offset:
                        moved.append(Moved(next_offset, now_s))

    def _all_visible(self) -> bool:
        ends = {each.partition: each.offset for each in sorted(self._accepted)}
        return all(self._moved[partition][-1:] and self._moved[partition][-1].next_offset > offset
                   for partition, offset in ends.items())  # fmt: skip


def commands(count: int) -> Iterable[Command[Any, Any]]:
    """Yield commands that will all be accepted: for each account an opening, then purchases."""
    chance, opened = random.Random(2), set[str]()
    for number in range(count):
        key = f"account-{chance.randrange(ACCOUNTS):06d}"
        if key not in opened:
            opened.add(key)
            yield OpenAccount(account_id=key)
        else:
            day = date(1997, 1 + number % 12, 1 + number % 28)
            yield RecordPurchase(
                account_id=key, purchase_id=f"p{number}", day=day, quantity=1 + number % 3, amount_cents=number % 5000
            )


def latencies_s(accepted: Iterable[AcceptedEvent], moved: Mapping[int, Sequence[Moved]]) -> list[float]:
    """Return how long each row came after its acceptance; none, where it was there first."""
    latencies = []
    for partition, offset, at_s in accepted:
        steps = moved[partition]
        seen = steps[bisect_left(steps, offset + 1, key=lambda step: step.next_offset)]
        latencies.append(max(0.0, seen.at_s - at_s))
    return latencies
