"""The journal against its topic: what is the same, and what was done to one of them."""

import random

import psycopg
import pytest
from psycopg import sql

from schemas.errors import InvalidPosition
from streams.domain.shop.accounts import account
from streams.event_store.verifying import Verified, verify
from tests.worker.world import Workers, World, purchases

EVENTS = 12_000


def verified(world: World) -> Verified:
    return verify(world.application, account, world.kafka, world.dsn, world.ids)


def change(world: World, statement: str, *values: int) -> None:
    """Change the journal behind everybody's back."""
    with psycopg.connect(world.dsn) as connection:
        done = connection.execute(sql.SQL(statement).format(journal=sql.Identifier("kafold", world.topic)), values)
        assert done.rowcount >= 1


def test_what_the_worker_wrote_is_the_topic_event_by_event(world: World, workers: Workers) -> None:
    assert verified(world) == Verified(world.topic, 0, 0, 0, None)
    writer = world.writer()
    writer.burst(purchases(random.Random(1), EVENTS, 300, world.versions))
    writer.burst(purchases(random.Random(2), 100, 300, world.versions), abort=True)
    writer.anything(b"acc-00001", b"rubbish")
    workers.start("a")
    workers.until(world.caught_up)

    told: list[tuple[int, int]] = []
    found = verify(world.application, account, world.kafka, world.dsn, world.ids, lambda *each: told.append(each))
    assert found == Verified(world.topic, EVENTS, 1, 0, None)
    assert len(told) == 2 * EVENTS // 5_000
    assert told == sorted(told)
    assert all(0 < done <= total for done, total in told)


def test_a_journal_that_is_behind_is_no_journal_that_differs(world: World, workers: Workers) -> None:
    writer = world.writer()
    writer.burst(purchases(random.Random(1), 500, 30, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    workers.kill("a")
    writer.burst(purchases(random.Random(2), 70, 30, world.versions))
    writer.burst(purchases(random.Random(3), 50, 30, world.versions), abort=True)
    assert verified(world) == Verified(world.topic, 500, 0, 70, None)


def test_of_several_differences_the_first_one_is_named(world: World, workers: Workers) -> None:
    world.writer().burst(purchases(random.Random(1), EVENTS, 300, world.versions))
    workers.start("a")
    workers.until(world.caught_up)
    workers.kill("a")
    first, last = min(world.ends), max(world.ends)
    for place, offset in ((last, world.ends[last] - 2), (first, world.ends[first] - 2)):
        change(world, """UPDATE {journal} SET data = '!' WHERE partition = %s AND "offset" = %s""", place[1], offset)
    found = verified(world)
    assert found.difference is not None
    assert (found.difference.partition, found.difference.offset) == (first[1], world.ends[first] - 2)
    assert found.events == world.ends[first] - 2
    assert "are not those of the topic (1 and" in found.difference.what


def test_the_first_difference_is_named(world: World, workers: Workers) -> None:
    world.writer().burst(purchases(random.Random(1), 200, 1, {}))
    workers.start("a")
    workers.until(world.caught_up)
    workers.kill("a")
    [(_, partition)] = world.ends

    change(world, "UPDATE {journal} SET version = 1000 WHERE version = 150")
    found = verified(world)
    assert (found.events, found.difference) == (149, (partition, 149, found.difference and found.difference.what))
    assert "says version 150, the journal has 'acc-00000' version 1000" in str(found.difference)
    change(world, "UPDATE {journal} SET id = 'bob' WHERE version = 140")
    assert "the topic's key is 'acc-00000', the journal has 'bob' version 140" in str(verified(world).difference)
    change(world, "UPDATE {journal} SET data = data || '!'::bytea WHERE version = 130")
    assert "the bytes of 'acc-00000' version 130 are not those of the topic" in str(verified(world).difference)
    change(world, "DELETE FROM {journal} WHERE version = 120")
    assert "'acc-00000' version 120 is not in the journal" in str(verified(world).difference)
    change(world, """INSERT INTO {journal} VALUES ('eve', 1, -1, 7, '!'::bytea)""")
    assert "the journal has 'eve' version 1, the topic has no such event" in str(verified(world).difference)


def test_a_journal_of_another_topic_of_the_same_name_is_no_copy(world: World, workers: Workers) -> None:
    world.writer().burst(purchases(random.Random(1), 10, 1, {}))
    workers.start("a")
    workers.until(world.caught_up)
    workers.kill("a")
    with psycopg.connect(world.dsn) as connection:
        connection.execute("UPDATE kafold.checkpoints SET topic_id = 'another'")
    with pytest.raises(InvalidPosition, match="is of another topic of this name"):
        verified(world)
