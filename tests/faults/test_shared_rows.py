"""Owners of two partitions race on rows that do not exist yet, and on rows that the other one has just deleted."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest

from schemas.shop.accounts import AccountEvent, PurchaseRecorded, PurchaseRefunded
from streams.postgres.tables import Table
from tests.worker.apps import strict
from tests.worker.owner import Owner, Record, owner_of, recorded, world_without_kafka
from tests.worker.world import World, check_exact

ROUNDS = 100
WAIT_S = 60.0


def sale(number: int, day: int, *, refund: bool) -> AccountEvent:
    """A sale of partition `number`'s only account."""
    kept: dict[str, Any] = {"purchase_id": "p", "day": date(1997, 1, 1) + timedelta(day), "amount_cents": 100}
    account = f"of-{number}"
    return (
        PurchaseRefunded(account_id=account, **kept)
        if refund
        else PurchaseRecorded(account_id=account, quantity=1, **kept)
    )


def race(owners: Sequence[Owner], rounds: Sequence[Sequence[Sequence[Record]]]) -> None:
    """Let each owner apply its batch of each round, all at the same moment."""
    together = threading.Barrier(len(owners), timeout=WAIT_S)

    def run(number: int) -> None:
        for batches in rounds:
            together.wait()
            owners[number].apply(batches[number])

    with ThreadPoolExecutor(len(owners)) as threads:
        for done in [threads.submit(run, number) for number in range(len(owners))]:
            done.result()


def rounds(world: World, seed: int, count: int) -> list[list[list[Record]]]:
    """Batches on three days. What an owner bought of a day it gives back the next time, so that rows come and go."""
    chance, bought = random.Random(seed), set[tuple[int, int]]()

    def batch(number: int) -> list[Record]:
        places = [(number, day) for day in chance.sample(range(3), chance.randrange(1, 4))]
        events = [sale(*place, refund=place in bought) for place in places]
        bought.symmetric_difference_update(places)
        return recorded(world, number, events)

    return [[batch(0), batch(1)] for _ in range(count)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many open days were made because they were missing."""
    counted, lock = Counter[str](), Table.lock

    def counting(self: Table, *arguments: Any) -> Any:
        found, new = lock(self, *arguments)
        counted[self.projection.name] += len(new)
        return found, new

    monkeypatch.setattr(Table, "lock", counting)
    return counted


def race_on_missing_rows(database: str, made: Counter[str], seed: int, count: int) -> None:
    world = world_without_kafka(strict, database)
    with owner_of(world, 0) as one, owner_of(world, 1) as other:
        race([one, other], rounds(world, seed, count))
    check_exact(world)
    assert made["open_days"] > count / 2, "rows were hardly ever missing"


def test_no_event_is_lost_or_counted_twice(database: str, made: Counter[str]) -> None:
    race_on_missing_rows(database, made, 1, ROUNDS)


@pytest.mark.faults_campaign
@pytest.mark.parametrize("seed", range(300, 310))
def test_a_campaign_of_races(database: str, made: Counter[str], seed: int) -> None:
    race_on_missing_rows(database, made, seed, 10 * ROUNDS)
