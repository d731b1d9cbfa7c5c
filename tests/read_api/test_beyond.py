"""A position beyond the log's end is refused at once; one that somebody was given is waited for. On a real Kafka."""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import psycopg
import pytest

from infra.engines.ports import free_port
from schemas.errors import InvalidPosition
from schemas.position import Position
from streams.event_store.store import EventStore
from streams.kafka.config import Kafka
from streams.kafka.log_end import CHECK_AFTER_S, LogEnd
from streams.kernel.errors import BeyondLog, Stale
from tests.read_api.conftest import serving
from tests.read_api.test_routes import problem_of
from tests.waiting import wait_until
from tests.worker.world import PARTITIONS, World, purchases

CHECKPOINT = """
INSERT INTO kafold.checkpoints (application, projection, version, topic, partition, topic_id, next)
VALUES (%s, 'customer_summary', 1, %s, %s, %s, %s) ON CONFLICT (application, projection, version, topic, partition)
DO UPDATE SET next = excluded.next
"""
PATIENT_MS = 30_000


class CountingEnd(LogEnd):
    """The log's end, which counts how often Kafka is asked."""

    asked = 0

    def _ask(self, goal: Position) -> None:
        self.asked += 1
        super()._ask(goal)


@pytest.fixture
def log_end(world: World) -> Iterator[CountingEnd]:
    """The end of the world's log, which has some events."""
    world.writer().burst(purchases(random.Random(1), 200, 50, {}))
    with CountingEnd(world.kafka) as made:
        yield made


@pytest.fixture
def api(world: World, log_end: CountingEnd) -> Iterator[httpx.Client]:
    """The world's read API."""
    with serving(world.dsn, world.application, log_end) as client:
        yield client


def fold_up_to(world: World, position: Position) -> None:
    """Say that the summaries are there, as a worker does."""
    with psycopg.connect(world.dsn) as connection:
        for (topic, partition), at in position.offsets.items():
            connection.execute(CHECKPOINT, [world.application.name, topic, partition, position.topic_ids[topic], at])


def moved(position: Position, by: int) -> Position:
    return replace(position, offsets={place: offset + by for place, offset in position.offsets.items()})


def ask(api: httpx.Client, after: object, timeout_ms: int = PATIENT_MS) -> httpx.Response:
    return api.get("/customer_summary", params={"after": str(after), "timeout_ms": timeout_ms})


def test_beyond_the_end_is_refused_at_once_and_says_where_it_is(world: World, api: httpx.Client) -> None:
    given = world.position
    for folded in (False, True):
        if folded:
            fold_up_to(world, given)
        began = time.monotonic()
        problem = problem_of(ask(api, moved(given, 1_000)), 409)
        assert time.monotonic() - began < PATIENT_MS / 1000 / 3
        assert problem["type"] == "urn:kafold:problem:beyond-log"
        # One partition is enough. The transaction's marker, if it is there by now, is before the end.
        [(place, end)] = Position.parse(problem["end"]).offsets.items()
        assert given.offsets[place] <= end <= given.offsets[place] + 1
        assert f"the log ends at {problem['end']}" in problem["detail"]
    # Also who does not wait is told.
    problem_of(ask(api, moved(given, 1_000), timeout_ms=0), 409)


def test_what_was_given_is_waited_for(world: World, api: httpx.Client, log_end: CountingEnd) -> None:
    assert problem_of(ask(api, world.position, timeout_ms=0), 412)["type"] == "urn:kafold:problem:stale"
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(ask(api, world.position)))
    waiting.start()
    wait_until(lambda: log_end.asked == 1, "Kafka was asked where the log ends")
    fold_up_to(world, world.position)
    waiting.join()
    assert answers[0].status_code == 200
    assert ask(api, world.position).status_code == 200
    assert log_end.asked == 1


def test_what_is_there_is_answered_without_kafka(world: World, api: httpx.Client, log_end: CountingEnd) -> None:
    fold_up_to(world, world.position)
    assert ask(api, world.position).status_code == 200
    assert log_end.asked == 0


def test_a_position_of_another_topic_or_of_no_partition_is_refused(world: World, api: httpx.Client) -> None:
    other = f"{world.topic}@{'A' * 22}:0=1"
    assert problem_of(ask(api, other), 409)["type"] == "urn:kafold:problem:other-log"
    nowhere = f"{world.topic}@{world.position.topic_ids[world.topic]}:{PARTITIONS}=1"
    assert problem_of(ask(api, nowhere), 409)["type"] == "urn:kafold:problem:beyond-log"


def test_an_end_that_has_grown_is_found(world: World, log_end: CountingEnd) -> None:
    log_end.check(world.position)
    with pytest.raises(BeyondLog):
        log_end.check(moved(world.position, 300))
    world.writer().burst(purchases(random.Random(2), 2_000, 50, world.versions))
    log_end.check(world.position)


def test_where_kafka_does_not_answer_nothing_is_refused(world: World) -> None:
    with LogEnd(Kafka(f"127.0.0.1:{free_port()}")) as away, serving(world.dsn, world.application, away) as api:
        problem_of(ask(api, f"{world.topic}@{'A' * 22}:0=1000", timeout_ms=200), 412)


def test_the_event_store_refuses_it_too(world: World, log_end: CountingEnd) -> None:
    kind = world.application.aggregate("account")
    with EventStore(
        world.application, kind, dsn=world.dsn, ids=world.ids, partitions=PARTITIONS, log_end=log_end
    ) as store:
        began = time.monotonic()
        with pytest.raises(BeyondLog, match="the log ends at"):
            store.load("acc-00001", at_least=moved(world.position, 1_000), timeout_s=60)
        assert time.monotonic() - began < 20
        with pytest.raises(Stale):
            store.load("acc-00001", at_least=world.position, timeout_s=2 * CHECK_AFTER_S)
        with pytest.raises(InvalidPosition, match="another topic"):
            store.load("acc-00001", at_least=replace(world.position, topic_ids={world.topic: "A" * 22}), timeout_s=60)
