"""An event that cannot be taken parks its key: the key waits, everything else goes on, and a fix brings it back."""

import random
from datetime import date

import psycopg

from schemas.shop.accounts import AccountOpened, PurchaseRecorded
from streams.domain.shop.projections import customer_summary, daily_sales
from streams.postgres.checkpoints import JOURNAL, Reached, wait_for
from streams.postgres.connection import connect
from streams.postgres.parking import Parked, Request, parked, request
from tests.worker.child import FIXED
from tests.worker.world import Workers, World, purchases

DAY = date(1997, 1, 1)


def purchase(account_id: str, name: str) -> PurchaseRecorded:
    return PurchaseRecorded(account_id=account_id, purchase_id=name, day=DAY, quantity=1, amount_cents=100)


def of(world: World, projection: str | None = None) -> list[Parked]:
    with connect(world.dsn, "test") as connection:
        return parked(connection, world.application.name, projection)


def ask(world: World, projection: str, what: Request, key: str | None = None) -> int:
    with connect(world.dsn, "test") as connection:
        return len(request(connection, world.application.name, projection, what, key))


def poison(world: World) -> None:
    writer = world.writer()
    writer.burst(purchases(random.Random(1), 300, 40, world.versions))
    writer.burst([AccountOpened(account_id="hot"), purchase("hot", "first"), purchase("hot", "poison")])
    writer.burst([purchase("hot", "behind"), *purchases(random.Random(2), 300, 40, world.versions)])


def test_a_poison_event_parks_its_key_and_nothing_else(world: World, workers: Workers) -> None:
    poison(world)
    workers.start("a")
    workers.until(world.caught_up)
    expected, actual = world.expected(customer_summary), world.actual(customer_summary)
    assert actual.pop("hot").purchases == 1
    expected.pop("hot")
    assert actual == expected
    # The other readers of the same event are not concerned.
    assert world.actual(daily_sales) == world.expected(daily_sales)
    assert world.journal() == world.journal_expected()
    head, behind = of(world, "customer_summary")
    assert (head.key, head.error_type, head.error) == ("hot", "ValueError", "poison is not a purchase")
    assert (behind.key, behind.error_type) == ("hot", None)
    waited = wait_for(world.dsn, world.application.name, "customer_summary", world.position, 5, key="hot")
    assert waited.reached is Reached.PARKED


def test_a_parked_key_that_is_retried_after_a_fix_is_as_if_nothing_had_been(world: World, workers: Workers) -> None:
    poison(world)
    workers.start("a")
    workers.until(world.caught_up)
    assert ask(world, "customer_summary", Request.RETRY) == 2
    workers.until(lambda: all(each.request is None for each in of(world)))
    assert len(of(world)) == 2  # the code is as it was
    (workers.folder / FIXED).touch()
    ask(world, "customer_summary", Request.RETRY, "hot")
    workers.until(lambda: not of(world))
    world.writer().burst([purchase("hot", "after")])
    workers.until(world.caught_up)
    assert world.actual(customer_summary) == world.expected(customer_summary)


def test_a_discarded_event_is_passed_over_and_those_behind_it_are_folded(world: World, workers: Workers) -> None:
    poison(world)
    workers.start("a")
    workers.until(world.caught_up)
    with psycopg.connect(world.dsn) as connection:
        connection.execute("UPDATE kafold.parked SET request = 'discard' WHERE error_type IS NOT NULL")
    workers.until(lambda: not of(world))
    assert world.actual(customer_summary)["hot"].purchases == 2


def test_bytes_that_are_no_event_park_their_message_for_every_reader(world: World, workers: Workers) -> None:
    writer = world.writer()
    writer.burst([AccountOpened(account_id="a"), AccountOpened(account_id="b")])
    writer.anything(b"a", b"\x07 this is no event")
    writer.burst([purchase("b", "one")])
    workers.start("a")
    workers.until(world.caught_up)
    found = of(world)
    assert {each.projection for each in found} == {JOURNAL.name, "customer_summary", "daily_sales", "credit_transfer"}
    assert {(each.key, each.by_message, each.error_type) for each in found} == {("a", True, "WrongMagicByte")}
    assert world.actual(customer_summary) == world.expected(customer_summary)
    writer.burst([purchase("a", "two"), purchase("b", "two")])
    workers.until(world.caught_up)
    assert len(of(world)) == 7  # a purchase is nothing to the credit transfers
    assert world.actual(customer_summary)["a"].purchases == 0
    assert world.actual(customer_summary)["b"].purchases == 2


def test_a_value_that_the_database_refuses_parks_its_event(world: World, workers: Workers) -> None:
    writer = world.writer()
    large = PurchaseRecorded(account_id="rich", purchase_id="x", day=DAY, quantity=2**62, amount_cents=2**62)
    writer.burst([AccountOpened(account_id="rich"), large, *purchases(random.Random(3), 200, 30, world.versions)])
    writer.burst([large.but(purchase_id="y", day=date(1998, 1, 1)), large.but(purchase_id="z", day=date(1999, 1, 1))])
    workers.start("a")
    workers.until(world.caught_up)
    assert [each.key for each in of(world)] == ["rich", "rich"]
    assert world.actual(customer_summary)["rich"].purchases == 1
    expected = world.expected(customer_summary)
    assert {k: v for k, v in world.actual(customer_summary).items() if k != "rich"} == {
        k: v for k, v in expected.items() if k != "rich"
    }
