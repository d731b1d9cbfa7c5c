"""Readers that are far behind are caught up in bulk, apart from those that are live, and go on live without a gap."""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest
from psycopg import sql

from infra.waiting import wait_until
from schemas.shop.accounts import AccountOpened
from streams.domain.shop.projections import customer_summary, daily_sales
from streams.kafka.topics import topic_ids
from streams.postgres.checkpoints import Reached, wait_for
from streams.postgres.parking import Request
from streams.worker.catching_up import STEP_RECORDS_MIN, STEP_S_MAX, next_size
from tests.worker.child import BEHIND, FIXED
from tests.worker.test_parking import ask, of, purchase
from tests.worker.world import PARTITIONS, Workers, World, Writer, check_exact, purchases

FAR = 500
BEGUN, CAUGHT_UP = "far behind, so they catch up in bulk", "what was far behind has caught up"


@pytest.fixture(autouse=True)
def soon_far(workers: Workers) -> None:
    workers.environment[BEHIND] = str(FAR)


def write(writer: Writer, seed: int, bursts: int = 4, size: int = 1500) -> None:
    """Write random events, with an aborted transaction after every other one."""
    chance, known = random.Random(seed), writer.world
    for number in range(bursts):
        writer.burst(purchases(chance, size, 300, known.versions))
        if number % 2:
            writer.burst(purchases(chance, 50, 300, known.versions), abort=True)


def told(workers: Workers, line: str) -> int:
    """How often the workers have said something."""
    return sum(path.read_text().count(line) for path in workers.folder.glob("*.log"))


def moved_on(world: World, since: int) -> bool:
    """Whether checkpoints have moved, or have nowhere to go."""
    return sum(world.checkpoints().values()) > since or world.caught_up()


def live_again(workers: Workers) -> bool:
    return told(workers, CAUGHT_UP) > 0


@contextmanager
def stuck(world: World) -> Iterator[None]:
    """Have every day of the sales made or locked by somebody, so that nobody folds sales meanwhile."""
    table = sql.Identifier(world.application.name, "daily_sales_v1")
    with psycopg.connect(world.dsn) as connection:
        connection.execute(
            sql.SQL(
                "INSERT INTO {} SELECT date '1997-01-01' + n, 0, 0, 0 FROM generate_series(0, 364) AS n "
                "ON CONFLICT (day) DO UPDATE SET purchases = {}.purchases"
            ).format(table, table)
        )
        yield
        connection.rollback()


def at(world: World, projection: str, **columns: str) -> None:
    """Set columns of a projection's checkpoints, which are made if there are none; values are SQL."""
    topic, sets = world.topic, ", ".join(f"{name} = {value}" for name, value in columns.items())
    with psycopg.connect(world.dsn) as connection:
        for number in range(PARTITIONS):
            place = [world.application.name, projection, 1, topic, number]
            connection.execute(
                "INSERT INTO kafold.checkpoints (application, projection, version, topic, partition, topic_id) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [*place, topic_ids(world.kafka, [topic])[topic]],
            )
        connection.execute(
            f"UPDATE kafold.checkpoints SET {sets} WHERE projection = %s".encode(),  # noqa: S608
            [projection],
        )


def test_a_backlog_is_caught_up_in_bulk_and_what_follows_is_live(world: World, workers: Workers) -> None:
    writer = world.writer()
    write(writer, 1)
    workers.start("a")
    workers.until(lambda: world.caught_up() and live_again(workers))
    check_exact(world)
    assert told(workers, BEGUN) == PARTITIONS
    chance = random.Random(2)
    for _ in range(10):
        writer.burst(purchases(chance, 20, 500, world.versions))
    waited = wait_for(world.dsn, world.application.name, "customer_summary", world.position, 30)
    assert waited.reached is Reached.YES
    workers.until(world.caught_up)
    check_exact(world)
    assert told(workers, BEGUN) == PARTITIONS
    assert workers.exits == []


@pytest.mark.parametrize("step", ["journal:3", "bulk:2"])  # a third one of two lanes may meet the last of all
def test_a_worker_that_is_killed_while_it_catches_up_goes_on_from_its_last_step(
    world: World, workers: Workers, step: str
) -> None:
    write(world.writer(), 3)
    workers.start("a", f"{step}:SIGKILL")
    assert workers.running["a"].wait(60) == -signal.SIGKILL, workers.logs()
    assert sum(world.checkpoints().values()) > 0
    assert not world.caught_up()
    workers.until(world.caught_up)
    check_exact(world)


def test_two_workers_that_are_killed_while_they_catch_up_count_everything_once(world: World, workers: Workers) -> None:
    write(world.writer(), 4, bursts=8)
    chance = random.Random(5)
    for name in "ab":
        workers.start(name)
    for _ in range(4):
        workers.until(partial(moved_on, world, sum(world.checkpoints().values())))
        workers.kill(chance.choice("ab"))
    workers.until(world.caught_up)
    check_exact(world)
    assert told(workers, BEGUN) > 0


def test_what_cannot_be_taken_is_parked_and_comes_back_after_a_fix(world: World, workers: Workers) -> None:
    writer = world.writer()
    write(writer, 6, bursts=2)
    writer.burst([AccountOpened(account_id="hot"), purchase("hot", "first"), purchase("hot", "poison")])
    writer.burst([AccountOpened(account_id="rich"), purchase("rich", "x").but(quantity=2**62, amount_cents=2**62)])
    write(writer, 7, bursts=2)
    writer.burst([purchase("hot", "behind"), purchase("rich", "y").but(quantity=2**62, amount_cents=2**62)])
    workers.start("a")
    workers.until(lambda: world.caught_up() and live_again(workers))
    assert [(each.key, each.error_type) for each in of(world, "customer_summary")] == [
        ("hot", "ValueError"),
        ("hot", None),
        ("rich", "Refused"),
    ]
    expected, actual = world.expected(customer_summary), world.actual(customer_summary)
    assert (actual.pop("hot").purchases, actual.pop("rich").purchases) == (1, 1)
    assert actual == {key: row for key, row in expected.items() if key not in {"hot", "rich"}}
    assert world.journal() == world.journal_expected()
    (workers.folder / FIXED).touch()
    ask(world, "customer_summary", Request.RETRY, "hot")
    workers.until(lambda: all(each.key != "hot" for each in of(world)))
    assert world.actual(customer_summary)["hot"] == expected["hot"]


def test_parked_events_are_retried_while_their_reader_catches_up(world: World, workers: Workers) -> None:
    writer = world.writer()
    writer.burst([AccountOpened(account_id="hot"), purchase("hot", "poison")])
    workers.start("a")
    workers.until(world.caught_up)
    workers.end("a")
    (workers.folder / FIXED).touch()
    write(writer, 8)
    ask(world, "customer_summary", Request.RETRY)
    workers.start("b")
    workers.until(lambda: world.caught_up() and not of(world))
    assert told(workers, BEGUN) == PARTITIONS
    check_exact(world)


def test_a_reader_that_must_stop_stands_exactly_there_and_the_others_go_on(world: World, workers: Workers) -> None:
    write(world.writer(), 9)
    at(world, "customer_summary", stop_at="777", stop_until="clock_timestamp() + interval '1 hour'")
    workers.start("a")
    ends = {number: end for (_, number), end in world.ends.items()}

    def stands() -> bool:
        found = world.checkpoints()
        others = all(found.get((name, n), 0) >= ends[n] for name in ("(journal)", "daily_sales") for n in ends)
        return others and all(found["customer_summary", number] == 777 for number in ends)

    workers.until(stands)
    assert world.journal() == world.journal_expected()
    at(world, "customer_summary", stop_until="NULL")
    workers.until(lambda: world.caught_up() and live_again(workers))
    check_exact(world)
    assert workers.exits == []


def test_what_is_live_does_not_wait_for_what_is_far_behind(world: World, workers: Workers) -> None:
    writer = world.writer()
    write(writer, 10)
    workers.start("a")
    workers.until(lambda: world.caught_up() and live_again(workers))
    workers.end("a")
    with psycopg.connect(world.dsn) as connection:
        connection.execute(f"TRUNCATE {world.application.name}.daily_sales_v1".encode())
    at(world, "daily_sales", next="0")
    with stuck(world):
        workers.start("b")
        workers.until(lambda: told(workers, BEGUN) == 2 * PARTITIONS)
        writer.burst(purchases(random.Random(11), 300, 300, world.versions))
        waited = wait_for(world.dsn, world.application.name, "customer_summary", world.position, 60)
        assert waited.reached is Reached.YES, workers.logs()
        assert max(at for (name, _), at in world.checkpoints().items() if name == "daily_sales") == 0
    workers.until(world.caught_up)
    assert world.actual(daily_sales) == world.expected(daily_sales)
    check_exact(world)


def test_a_reader_that_falls_far_behind_while_it_is_live_catches_up_in_bulk(world: World, workers: Workers) -> None:
    writer = world.writer()
    write(writer, 12, bursts=1, size=200)
    workers.start("a")
    workers.until(world.caught_up)
    assert told(workers, BEGUN) == 0
    with stuck(world):
        write(writer, 13, bursts=6)
    workers.until(lambda: world.caught_up() and live_again(workers))
    check_exact(world)
    assert workers.exits == []


def test_records_that_were_aborted_are_nothing_to_catch_up_with(world: World, workers: Workers) -> None:
    writer = world.writer()
    write(writer, 14)
    writer.burst(purchases(random.Random(15), 2 * FAR * PARTITIONS, 5000, world.versions), abort=True)
    workers.start("a")
    workers.until(lambda: world.caught_up() and live_again(workers))
    assert not wait_until(lambda: told(workers, BEGUN) > 2 * PARTITIONS, 5)
    write(writer, 16, bursts=1, size=100)
    workers.until(world.caught_up)
    check_exact(world)


def test_a_step_becomes_smaller_where_the_database_is_slow_and_larger_where_it_is_not() -> None:
    assert next_size(10_000, STEP_S_MAX * 1.1, 50_000) == 5_000
    assert next_size(STEP_RECORDS_MIN, STEP_S_MAX * 9, 50_000) == STEP_RECORDS_MIN
    assert next_size(10_000, STEP_S_MAX * 0.6, 50_000) == 10_000
    assert next_size(10_000, STEP_S_MAX * 0.4, 50_000) == 20_000
    assert next_size(40_000, 0.1, 50_000) == 50_000
