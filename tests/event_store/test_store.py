"""The event store on real engines: whole histories out of the journal, appends through the owner, and no old news."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest

from producers.bus import KafkaCommandBus
from producers.client import Client
from schemas.appending import AppendProblem
from schemas.command_bus import CommandBus
from schemas.errors import DefinitionError, InvalidPosition
from schemas.metadata import EventMetadata
from schemas.outcomes import Accepted, CommandFailed, Rejected, VersionConflict
from schemas.position import Position
from schemas.shop.accounts import AccountCommand, AccountEvent, AccountOpened, PurchaseRecorded, PurchaseRefunded
from streams.domain.shop.accounts import Account, account
from streams.event_store.history import History, Recorded, rebuild
from streams.event_store.store import EventStore
from streams.kafka.topics import topic_ids
from streams.kernel.application import Application
from streams.kernel.errors import LogBroken, ParkedHistory, Stale
from streams.kernel.partitioner import partition_of
from streams.processor.processor import CommandProcessor
from tests.fixtures.shop import running
from tests.log import events_of, log_of
from tests.oracle import check_log
from tests.waiting import wait_until
from tests.worker.world import PARTITIONS, Workers, World, purchases

Accounts: TypeAlias = EventStore[Account, AccountCommand, AccountEvent]
DAY = date(1997, 1, 1)
HISTORY: tuple[AccountEvent, ...] = (
    AccountOpened(account_id="ada"),
    PurchaseRecorded(account_id="ada", purchase_id="p", day=DAY, quantity=1, amount_cents=1177),
    PurchaseRefunded(account_id="ada", purchase_id="p", day=DAY, amount_cents=177),
)


@pytest.fixture
def open_store(world: World) -> Iterator[Callable[..., Accounts]]:
    """A maker of stores of the world's accounts; they are closed at the test's end."""
    made: list[Accounts] = []

    def make(commands: CommandBus | None = None) -> Accounts:
        store = EventStore(
            world.application, account, dsn=world.dsn, ids=world.ids, partitions=PARTITIONS, commands=commands
        )
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


def test_a_history_is_whole_typed_and_carries_its_position(
    world: World, workers: Workers, open_store: Callable[..., Accounts]
) -> None:
    world.writer().burst(purchases(random.Random(1), 2_000, 40, world.versions))
    workers.start("a")
    store = open_store()
    for key, version in world.versions.items():
        history = store.load(key, at_least=world.position, timeout_s=60)
        expected = [(each.event, each.metadata) for each in world.committed if each.event.aggregate_id == key]
        assert [(each.event, each.metadata) for each in history] == expected
        assert (history.version, len(history)) == (version, version)
        place = (world.topic, partition_of(key.encode(), PARTITIONS))
        assert history.position.offsets == {place: world.ends[place]}
        assert history.position.topic_ids == topic_ids(world.kafka, [world.topic])

    key, version = max(world.versions.items())
    history = store.load(key)
    half = store.load(key, upto=version // 2)
    assert half.recorded == history.recorded[: version // 2]
    assert store.load(key, upto=0).recorded == ()
    assert store.load(key, upto=version + 1) == history
    assert store.load("nobody").version == 0


def test_whoever_asks_for_a_position_waits_for_it_or_is_told_how_far_the_journal_is(
    world: World, workers: Workers, open_store: Callable[..., Accounts]
) -> None:
    store, writer = open_store(), world.writer()
    writer.burst([HISTORY[0]])
    with pytest.raises(Stale, match=r"the journal of .* is stale: it is at its beginning, not yet at") as caught:
        store.load("ada", at_least=world.position, timeout_s=0.1)
    assert caught.value.goal == world.position
    assert store.load("ada").position == Position()

    workers.start("a")
    assert store.load("ada", at_least=world.position, timeout_s=60).events == HISTORY[:1]
    for event in HISTORY[1:]:
        writer.burst([event])
        assert store.load("ada", at_least=world.position).events[-1] == event
    [(topic, partition)] = world.ends
    elsewhere = Position({(topic, (partition + 1) % PARTITIONS): 10**9, ("x", partition): 1}, world.position.topic_ids)
    assert store.load("ada", at_least=elsewhere, timeout_s=0).version == 3
    later = Position({(topic, partition): 10**9}, world.position.topic_ids)
    with pytest.raises(Stale, match=f"{partition}=1000000000"):
        store.load("ada", at_least=later, timeout_s=0.1)
    with pytest.raises(InvalidPosition, match="made again"):
        store.load("ada", at_least=Position(later.offsets, {topic: "another"}), timeout_s=0.1)


def test_an_incomplete_history_is_refused(world: World, workers: Workers, open_store: Callable[..., Accounts]) -> None:
    writer, store = world.writer(), open_store()
    writer.burst([HISTORY[0]])
    writer.anything(b"ada", b"rubbish")
    workers.start("a")
    with pytest.raises(ParkedHistory, match="ada: an event after version 1 is parked"):
        store.load("ada", at_least=world.position, timeout_s=60)
    assert store.load("ada", upto=1).events == HISTORY[:1]
    with pytest.raises(ParkedHistory):
        store.load("ada", upto=2)
    assert store.load("bob").version == 0


def test_connections_that_died_while_idle_are_not_the_readers_trouble(
    world: World, workers: Workers, open_store: Callable[..., Accounts]
) -> None:
    world.writer().burst([HISTORY[0]])
    workers.start("a")
    workers.until(world.caught_up)
    store = open_store()
    with ThreadPoolExecutor(4) as readers:  # so that the pool has several connections
        list(readers.map(store.load, ["ada"] * 200))
    with psycopg.connect(world.dsn, autocommit=True) as admin:
        killed = admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'kafold event store' AND datname = current_database()"
        ).fetchall()
    assert killed
    assert store.load("ada").events == HISTORY[:1]


def test_a_history_rebuilds_the_state_and_a_gap_is_refused() -> None:
    recorded = [
        Recorded(event, EventMetadata("", "", "", "", version, 0), version) for version, event in enumerate(HISTORY, 1)
    ]
    history = History("ada", tuple(recorded), Position())
    assert rebuild(account, history) == Account(account_id="ada", left_cents={"p": 1000})
    assert rebuild(account, History("ada", (), Position())) == account.initial
    with pytest.raises(LogBroken, match="account ada: version 3 follows 1"):
        rebuild(account, History("ada", (history.recorded[0], history.recorded[2]), Position()))


def test_a_store_without_a_way_to_the_owner_can_only_load(open_store: Callable[..., Accounts]) -> None:
    with pytest.raises(DefinitionError, match="can only load"):
        open_store().append("ada", HISTORY)


@contextmanager
def owned(world: World, application: Application, state: Path) -> Iterator[CommandBus]:
    """A processor that owns every partition of the accounts, and a bus to it."""
    processor = CommandProcessor(application, world.kafka, world.ids, PARTITIONS, state=state)
    with running(processor), Client(application.contracts, world.kafka, world.ids) as client:
        wait_until(lambda: len(processor.owned) == len(application.aggregates) * PARTITIONS, "all partitions are owned")
        yield KafkaCommandBus(client)


def allowing(application: Application) -> Application:
    """The accounts alone, taking appended events."""
    appended = [replace(account, append="allowed")]
    return replace(application, aggregates=appended, projections=[], queries=[], process_managers=[])


def test_appended_events_are_in_the_log_once_and_can_be_loaded(
    world: World, workers: Workers, open_store: Callable[..., Accounts], tmp_path: Path
) -> None:
    workers.start("a")
    with owned(world, allowing(world.application), tmp_path) as bus:
        store = open_store(bus)
        first = store.append("ada", HISTORY[:2], expected_version=0, command_id="import-1")
        assert isinstance(first, Accepted)
        assert (first.version, first.event_ids) == (2, ("import-1-1", "import-1-2"))
        assert store.append("ada", HISTORY[:2], expected_version=0, command_id="import-1") == first
        assert store.append("ada", HISTORY[2:], expected_version=1) == Rejected(VersionConflict(expected=1, actual=2))
        last = store.append("ada", HISTORY[2:], expected_version=2, command_id="import-2")
        assert isinstance(last, Accepted)

        history = store.load("ada", at_least=last.position, timeout_s=60)
        assert history.events == HISTORY
        assert [each.metadata.command_id for each in history] == ["import-1", "import-1", "import-2"]
        assert rebuild(account, history).left_cents == {"p": 1000}
        strange = AccountOpened(account_id="bob")
        refused = store.append("ada", [strange])
        assert refused == Rejected(AppendProblem.OTHER_AGGREGATE, "event 1 is of 'bob', not of 'ada'")
        with pytest.raises(CommandFailed, match="KeyError"):
            store.append("ada", [HISTORY[2].but(purchase_id="never bought")])
    accounts = events_of(world.application, "account", world.kafka, world.ids)
    assert [each.event for each in accounts] == list(HISTORY)


def test_of_many_writers_with_one_expected_version_exactly_one_wins(
    world: World, open_store: Callable[..., Accounts], tmp_path: Path
) -> None:
    with owned(world, allowing(world.application), tmp_path) as bus, ThreadPoolExecutor(32) as writers:
        store = open_store(bus)

        def write(number: int) -> Accepted[None] | Rejected[AppendProblem]:
            return store.append("ada", HISTORY[:1], expected_version=0, command_id=f"writer-{number}")

        answers = list(writers.map(write, range(32)))
    won = [each for each in answers if isinstance(each, Accepted)]
    assert len(won) == 1
    assert [each for each in answers if each not in won] == [Rejected(VersionConflict(expected=0, actual=1))] * 31
    check_log(
        log_of(world.application, "account", world.kafka, world.ids),
        [f"writer-{number}" for number in range(32)],
    )


def test_an_aggregate_refuses_appended_events_unless_it_is_declared_to_take_them(
    world: World, open_store: Callable[..., Accounts], tmp_path: Path
) -> None:
    with owned(world, world.application, tmp_path) as bus:
        answer = open_store(bus).append("ada", HISTORY)
    assert answer == Rejected(AppendProblem.FORBIDDEN, 'account is not declared with append="allowed"')
    assert events_of(world.application, "account", world.kafka, world.ids) == []
