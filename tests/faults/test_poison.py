"""A poison event in a hot partition: its keys park, in order, on every worker, and everything else goes on.

The event is poison to two projections. In one it parks its account, in the other its day, whose sales come from every
partition, and so from both workers.
"""

import random
from datetime import date
from pathlib import Path
from typing import Any

from schemas.shop.accounts import AccountOpened, PurchaseRecorded, PurchaseRefunded
from streams.kernel.projection import Projection
from streams.postgres.checkpoints import Reached, wait_for
from streams.postgres.connection import connect
from streams.postgres.parking import Parked, Request, parked, request
from tests.log import Recorded
from tests.worker.apps import MENDED, POISON, diary, open_days
from tests.worker.load import sales
from tests.worker.world import Workers, World, check_exact

HOT, DAY, OTHER_DAY = "hot", date(1997, 1, 1), date(1997, 1, 2)


def purchase(name: str, day: date = OTHER_DAY) -> PurchaseRecorded:
    return PurchaseRecorded(account_id=HOT, purchase_id=name, day=day, quantity=1, amount_cents=100)


def parked_of(world: World, projection: Projection[Any, Any]) -> list[Parked]:
    with connect(world.dsn, "test") as connection:
        return parked(connection, world.application.name, projection.name)


def of_hot(each: Recorded) -> bool:
    return each.event.aggregate_id == HOT


def of_day(each: Recorded) -> bool:
    return isinstance(each.event, PurchaseRecorded | PurchaseRefunded) and each.event.day == DAY


def check_parked(world: World, projection: Projection[Any, Any], key: str, concerned: list[Recorded]) -> None:
    """One key is parked, in each partition from one event on; its row is a fold of the others, as are all rows."""
    found = parked_of(world, projection)
    assert {each.key for each in found} == {key}
    assert [each.error_type for each in found if each.error_type] == ["ValueError"]
    places = {(each.partition, each.offset) for each in found}
    for number in {partition for partition, _ in places}:
        waits = [(number, each.offset) in places for each in concerned if each.partition == number]
        assert waits == sorted(waits), "an event has passed those that wait"
    kept = world.committed
    world.committed = [each for each in kept if (each.partition, each.offset) not in places]
    try:
        assert world.actual(projection) == world.expected(projection)
    finally:
        world.committed = kept


def waited(world: World, projection: Projection[Any, Any], key: str) -> Reached:
    return wait_for(world.dsn, world.application.name, projection.name, world.position, 10, key).reached


def test_its_keys_park_and_everything_else_goes_on(strict_world: World, strict_workers: Workers) -> None:
    world, workers = strict_world, strict_workers
    chance, writer = random.Random(1), world.writer()
    writer.burst([AccountOpened(account_id=HOT), purchase("first"), *sales(world, chance, 100)])
    for name in "ab":
        workers.start(name)
    workers.until(workers.have_joined)
    workers.until(world.caught_up)
    for number in range(20):
        hot = [purchase(f"{number}-{n}", chance.choice([DAY, OTHER_DAY])) for n in range(30)]
        if number == 5:
            hot.insert(10, purchase(POISON, DAY))
        writer.burst([*hot, *sales(world, chance, 60)])
    workers.until(world.caught_up)

    check_parked(world, diary, HOT, [each for each in world.committed if of_hot(each)])
    check_parked(world, open_days, str(DAY), [each for each in world.committed if of_day(each)])
    assert len({each.partition for each in parked_of(world, open_days)}) > 1, (
        "only one partition has met the parked day"
    )
    for projection in world.projections:
        if projection not in (diary, open_days):
            assert world.actual(projection) == world.expected(projection)
    assert world.journal() == world.journal_expected()
    assert waited(world, diary, HOT) is Reached.PARKED
    assert waited(world, diary, "acc-00001") is Reached.YES
    assert waited(world, open_days, str(DAY)) is Reached.PARKED
    assert waited(world, open_days, str(OTHER_DAY)) is Reached.YES

    Path(workers.environment[MENDED]).touch()
    with connect(world.dsn, "test") as connection:
        request(connection, world.application.name, None, Request.RETRY, None)
    writer.burst([purchase("meanwhile", DAY)])
    workers.until(lambda: not parked_of(world, diary) and not parked_of(world, open_days))
    writer.burst([purchase("after", DAY)])
    workers.until(world.caught_up)
    check_exact(world)
    assert not workers.exits, workers.logs()
