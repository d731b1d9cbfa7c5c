"""Decision replay on a real log: what changed rules would have refused, and that unchanged ones make no difference."""

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.demo.cdnow import commands, packaged
from producers.client import Client
from schemas.errors import InvalidPosition
from schemas.messages import AggregateId, Event
from schemas.metadata import CommandMetadata
from schemas.outcomes import Accepted, CommandFailed, Rejected
from schemas.position import Place
from schemas.shop.accounts import AccountCommand, AccountEvent, AccountProblem, OpenAccount, RecordPurchase
from schemas.shop.users import CreateUser
from streams.domain.shop.accounts import Account, account
from streams.domain.shop.users import user
from streams.event_store.moment import Moment, parse_moment
from streams.kafka.config import Kafka
from streams.kafka.ends import committed_offsets, marks_of, places_of, settled_ends
from streams.kafka.registry import TopicRegistry, register
from streams.kafka.scanning import scan
from streams.kafka.topics import declared_topics, prepare_topics, topic_ids
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.application import Application
from streams.kernel.errors import LogBroken
from streams.processor.processor import CommandProcessor, group_of
from streams.redeciding.replaying import NothingDecided, Redecided, Tally, redecide
from streams.redeciding.scope import Scope
from tests.fixtures.shop import DEDUPE_WINDOW_S, PARTITIONS, running
from tests.kernel.counters import Add, Added, CounterCommand, CounterProblem, Split, decide, evolve, result
from tests.kernel.counters import Counter as Count
from tests.log import outcomes_of
from tests.waiting import wait_until

UNLUCKY = 13
DAY = date(1997, 1, 1)


def unlucky(counter: Count, command: CounterCommand) -> Sequence[Added] | Rejected[CounterProblem]:
    """Fail at thirteen, as long as it is asked for more than two."""
    if counter.total == UNLUCKY and command.amount > 2:
        raise ZeroDivisionError("thirteen")
    return decide(counter, command)


def thrifty(state: Account, command: AccountCommand) -> Sequence[AccountEvent] | Rejected[AccountProblem]:
    """The rules of accounts, and a new one: nothing costs more than 100 dollars."""
    if isinstance(command, RecordPurchase) and command.amount_cents > 10_000:
        return Rejected(AccountProblem.NOT_ENOUGH_CREDIT)
    return account.decide(state, command)


def replayed(
    application: Application, cluster: Kafka, ids: TopicRegistry, scope: Scope | None = None, **told: Any
) -> tuple[list[Redecided], Tally]:
    tally = Tally()
    found = redecide(
        application, told.pop("aggregates", application.aggregates), cluster, ids, scope or Scope(), tally,
        dedupe_window_s=DEDUPE_WINDOW_S, **told,
    )  # fmt: skip
    return list(found), tally


def with_rules(application: Application, decides: Any) -> Application:
    return Application(application.name, [user, replace(account, decide=decides)], evolution=application.evolution)


def purchase(account_id: str, number: int, cents: int) -> RecordPurchase:
    return RecordPurchase(account_id=account_id, purchase_id=f"p{number}", day=DAY, quantity=1, amount_cents=cents)


def decided(application: Application, cluster: Kafka) -> Callable[[], bool]:
    """Whether every command of the application is decided."""
    topics = [application.topics(each).commands for each in application.aggregates]
    places = places_of(cluster, topics)

    def holds() -> bool:
        ends = {place: high for place, (_, high) in marks_of(cluster, places).items()}
        return committed_offsets(cluster, group_of(application), places) == ends

    return holds


def shorten(cluster: Kafka, place: Place, offset: int) -> None:
    admin = AdminClient(cluster.admin())
    for future in admin.delete_records([TopicPartition(*place, offset)]).values():
        future.result()


@pytest.fixture
def counters(topic_prefix: str, cluster: Kafka, dsn: str) -> Application:
    aggregate = Aggregate("counter", initial=Count(), decide=unlucky, evolve=evolve, result=result)
    made = Application(topic_prefix, aggregates=[aggregate])
    prepare_topics(cluster, made, PARTITIONS, 1, DEDUPE_WINDOW_S)
    register(cluster, dsn, made.subjects())
    return made


@pytest.fixture
def counted(counters: Application, cluster: Kafka, tmp_path: Path) -> Iterator[tuple[Application, TopicRegistry]]:
    """A log of counters with everything in it that a log may have."""
    chance = random.Random(7)
    with TopicRegistry(cluster) as ids, Client(counters.contracts, cluster, ids) as client:
        processor = CommandProcessor(counters, cluster, ids, PARTITIONS, tmp_path / "0")
        with running(processor):
            wait_until(lambda: len(processor.owned) == PARTITIONS, "the processor owns all partitions")
            ask_everything(client, counters, cluster, ids, chance)
            wait_until(decided(counters, cluster), "every command is decided")
        yield counters, ids


def ask_everything(
    client: Client, counters: Application, cluster: Kafka, ids: TopicRegistry, chance: random.Random
) -> None:
    """Rivals with expected versions, repeats, failures that are tried again, questions, rubbish, nobody's ids."""
    aggregate = counters.aggregate("counter")
    encode, topic = counters.command_codec(aggregate, ids).encode, counters.topics(aggregate).commands
    producer, asked = Producer(cluster.producer()), list[tuple[str, CounterCommand]]()
    client.send(Add(counter_id="c0", amount=UNLUCKY), command_id="to-thirteen")
    client.send(Add(counter_id="c0", amount=5), command_id="fails-first")
    client.send(Add(counter_id="c1", amount=1))
    client.send(Add(counter_id="c0", amount=1), command_id="past-thirteen")
    client.send(Add(counter_id="c0", amount=5), command_id="fails-first")
    for number in range(400):
        name, amount = f"c{chance.randrange(8)}", chance.randrange(12)
        single = chance.random() < 0.5
        command = Add(counter_id=name, amount=amount) if single else Split(counter_id=name, amount=amount)
        expected = chance.choice([None, None, None, chance.randrange(6)])
        if number % 9 == 0:
            producer.produce(topic, encode(command, CommandMetadata(expected_version=expected)), name.encode())
        elif number % 10 == 0 and asked:
            command_id, again = chance.choice(asked)
            client.send(again, command_id=command_id)
        else:
            asked.append((client.send(command, expected_version=expected), command))
        if number % 100 == 50:
            producer.produce(topic, b"rubbish", name.encode())
            client.flush()
            client.outcome(type(asked[-1][1]), asked[-1][1].counter_id, asked[-1][0])
            client.outcome(Add, name, "never-asked")
    client.flush()
    producer.flush()


def test_unchanged_code_makes_no_difference(counted: tuple[Application, TopicRegistry], cluster: Kafka) -> None:
    application, ids = counted
    told: list[tuple[int, int]] = []
    found, tally = replayed(application, cluster, ids, on_progress=lambda *each: told.append(each))
    assert found == []
    statuses = Counter(each.outcome.status for each in outcomes_of(application, "counter", cluster, ids))
    assert min(statuses[each] for each in ("accepted", "rejected", "conflict", "failed")) > 0, statuses
    assert tally.repeated >= 30
    assert tally.decided == 409 - tally.repeated
    assert (tally.not_kept, tally.begins) == (4, {})  # the rubbish, which had no id that could be answered
    assert told[-1][0] == told[-1][1] > 400


def test_rules_that_were_mended_show_what_failed(counted: tuple[Application, TopicRegistry], cluster: Kafka) -> None:
    application, ids = counted
    mended = Application(
        application.name, [Aggregate("counter", initial=Count(), decide=decide, evolve=evolve, result=result)]
    )
    found, tally = replayed(mended, cluster, ids)
    failed = [
        each.outcome.command_id
        for each in outcomes_of(application, "counter", cluster, ids)
        if each.outcome.command == "Add" or each.outcome.command == "Split"
        if each.outcome.status == "failed"
    ]
    assert sorted(each.command_id for each in found) == sorted(failed)
    assert "fails-first" in failed
    assert set(tally.differing) == {("failed", "accepted")}


def test_without_the_outcomes_the_events_tell(counted: tuple[Application, TopicRegistry], cluster: Kafka) -> None:
    application, ids = counted
    topics = application.topics(application.aggregate("counter"))
    for place, (_, high) in marks_of(cluster, places_of(cluster, [topics.outcomes])).items():
        shorten(cluster, place, high * 2 // 3)
    _, before = replayed(application, cluster, ids)
    for place, (_, high) in marks_of(cluster, places_of(cluster, [topics.outcomes])).items():
        shorten(cluster, place, high)
    found, tally = replayed(application, cluster, ids)
    # Once its outcome is gone, a failure is what its retry came to, or what left nothing behind.
    assert [each for each in found if each.command_id != "fails-first"] == []
    assert 4 < before.not_kept < tally.not_kept

    def refuses(counter: Count, command: CounterCommand) -> Sequence[Added] | Rejected[CounterProblem]:
        return Rejected(CounterProblem.TOO_MUCH) if command.amount == 7 else unlucky(counter, command)

    stricter = Application(
        application.name, [Aggregate("counter", initial=Count(), decide=refuses, evolve=evolve, result=result)]
    )
    found, _ = replayed(stricter, cluster, ids)
    accepted = {each.command_id for each in found}
    assert len(accepted) > 5
    assert {(each.then.kind, each.now.kind) for each in found if each.command_id != "fails-first"} == {
        ("accepted", "rejected too-much")
    }


def test_where_commands_are_gone_history_begins_later(
    counted: tuple[Application, TopicRegistry], cluster: Kafka
) -> None:
    application, ids = counted
    topics = application.topics(application.aggregate("counter"))
    begins = {}
    for place, (_, high) in marks_of(cluster, places_of(cluster, [topics.commands])).items():
        if high > 4:
            begins[place] = high // 2
            shorten(cluster, place, high // 2)
    found, tally = replayed(application, cluster, ids)
    assert found == []
    assert tally.begins == begins
    assert tally.decided > 150
    for place, (_, high) in marks_of(cluster, places_of(cluster, [topics.outcomes])).items():
        shorten(cluster, place, high)
    assert replayed(application, cluster, ids)[0] == []


def test_what_failed_and_was_asked_again_after_the_beginning_does_not_move_it(
    counters: Application, cluster: Kafka, tmp_path: Path
) -> None:
    with TopicRegistry(cluster) as ids, Client(counters.contracts, cluster, ids) as client:
        with running(CommandProcessor(counters, cluster, ids, PARTITIONS, tmp_path / "0")):
            client.ask(Add(counter_id="c0", amount=1))
            answer = client.ask(Add(counter_id="c0", amount=UNLUCKY - 1))
            assert isinstance(answer, Accepted)
            with pytest.raises(CommandFailed):
                client.ask(Add(counter_id="c0", amount=5), command_id="fails-first")
            client.ask(Add(counter_id="c0", amount=1))
            client.ask(Add(counter_id="c0", amount=5), command_id="fails-first")
        [(_, partition)] = answer.position.offsets
        place = counters.topics(counters.aggregate("counter")).commands, partition
        shorten(cluster, place, 1)
        found, tally = replayed(counters, cluster, ids)
    assert (found, tally.begins) == ([], {place: 1})
    assert (tally.decided, tally.not_kept) == (4, 0)


@pytest.mark.parametrize("removed", [3, 4, 5, 6])
def test_where_commands_are_gone_outcomes_are_those_of_the_commands_that_are_left(
    counters: Application, cluster: Kafka, tmp_path: Path, removed: int
) -> None:
    with TopicRegistry(cluster) as ids, Client(counters.contracts, cluster, ids) as client:
        with running(CommandProcessor(counters, cluster, ids, PARTITIONS, tmp_path / "0")):
            answer = client.ask(Add(counter_id="c0", amount=UNLUCKY), command_id="first")
            assert isinstance(answer, Accepted)
            with pytest.raises(CommandFailed):
                client.ask(Add(counter_id="c0", amount=5), command_id="fails-first")
            client.ask(Add(counter_id="c0", amount=1), command_id="past-thirteen", expected_version=7)
            client.ask(Add(counter_id="c0", amount=1), command_id="past-thirteen-indeed")
            client.ask(Add(counter_id="c0", amount=5), command_id="fails-first")
            client.ask(Add(counter_id="c0", amount=1), command_id="past-thirteen", expected_version=7)
            client.ask(Add(counter_id="c0", amount=UNLUCKY), command_id="first")
            client.ask(Add(counter_id="c0", amount=2), command_id="last", expected_version=7)
        [(_, partition)] = answer.position.offsets
        place = counters.topics(counters.aggregate("counter")).commands, partition
        shorten(cluster, place, removed)
        found, tally = replayed(counters, cluster, ids)
    assert (found, tally.begins) == ([], {place: removed})
    repeated = 2 if removed < 6 else 1  # the conflict, which was given again, and the first one
    assert (tally.decided, tally.repeated, tally.not_kept) == (8 - removed - repeated, repeated, 0)


def put(cluster: Kafka, place: Place, key: bytes, value: bytes) -> None:
    producer = Producer(cluster.producer(enable_idempotence=True))
    producer.produce(place[0], value, key, partition=place[1])
    producer.flush()


def test_an_event_of_nobody_s_command_is_named(counted: tuple[Application, TopicRegistry], cluster: Kafka) -> None:
    application, ids = counted
    topic = application.topics(application.aggregate("counter")).events
    with closing(scan(cluster, settled_ends(cluster, places_of(cluster, [topic])))) as events:
        event = next(events)
    partition = int(event.partition() or 0)
    put(cluster, (topic, partition), event.key() or b"", event.value() or b"")
    with pytest.raises(LogBroken, match=rf"event at {topic} {partition}@\d+ is of no command"):
        replayed(application, cluster, ids)


def test_what_nobody_can_read_is_counted_and_breaks_only_its_aggregate(
    counters: Application, cluster: Kafka, tmp_path: Path
) -> None:
    place = counters.topics(counters.aggregate("counter")).events, 0
    for key in (b"nobody", b"nobody-else"):
        put(cluster, place, key, b"no event")
    with TopicRegistry(cluster) as ids, Client(counters.contracts, cluster, ids) as client:
        with running(CommandProcessor(counters, cluster, ids, PARTITIONS, tmp_path / "0")):
            for number in range(40):
                client.send(Add(counter_id=f"c{number}", amount=1))
            client.flush()
            wait_until(decided(counters, cluster), "every command is decided")
            put(cluster, place, b"nobody", b"no event")
            client.ask(Add(counter_id="c0", amount=1))
        put(cluster, place, b"nobody", b"no event")
        found, tally = replayed(counters, cluster, ids)
        assert (found, tally.decided, tally.foreign) == ([], 41, 4)


@pytest.mark.usefixtures("processor")
def test_a_new_rule_lists_exactly_what_it_would_have_refused(
    client: Client,
    application: Application,
    cluster: Kafka,
    ids: TopicRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identified = list(commands(packaged()[:1_500]))
    versions: Counter[str] = Counter()
    for each in identified:
        # As a careful client does, with the version that it knows.
        key = type(each.command).__name__ == "CreateUser", each.command.aggregate_id
        client.send(each.command, command_id=each.command_id, expected_version=versions[str(key)])
        versions[str(key)] += 1
    client.flush()
    wait_until(decided(application, cluster), "every command is decided", 60)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    everything = places_of(cluster, declared_topics(application, DEDUPE_WINDOW_S))
    commands_places = places_of(cluster, [application.topics(each).commands for each in application.aggregates])

    def state() -> tuple[Any, Any]:
        return marks_of(cluster, everything), committed_offsets(cluster, group_of(application), commands_places)

    settled_ends(cluster, everything)  # a transaction's markers come a moment after its offsets
    before = state()
    found, tally = replayed(application, cluster, ids)
    assert (found, tally.decided, tally.repeated, tally.not_kept) == ([], len(identified), 0, 0)

    found, tally = replayed(with_rules(application, thrifty), cluster, ids)
    expensive = {
        each.command_id
        for each in identified
        if isinstance(each.command, RecordPurchase) and each.command.amount_cents > 10_000
    }
    assert len(expensive) > 10
    assert {each.command_id for each in found} == expensive
    assert len(found) == len(expensive)
    assert tally.differing == {("accepted", "rejected not-enough-credit"): len(expensive)}
    assert {(each.command, str(each.then)) for each in found} == {("RecordPurchase", "accepted: PurchaseRecorded")}
    assert replayed(with_rules(application, thrifty), cluster, ids, aggregates=[user])[0] == []

    assert state() == before
    assert list(scratch.iterdir()) == []


@pytest.mark.usefixtures("processor")
def test_a_scope_is_a_time_or_a_position(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    stricter = with_rules(application, thrifty)
    with pytest.raises(NothingDecided):
        replayed(stricter, cluster, ids)
    client.ask(OpenAccount(account_id="ada"))
    client.ask(purchase("ada", 1, 20_000))
    commands_topic = application.topics(account).commands
    [place] = [each for each, (_, high) in marks_of(cluster, places_of(cluster, [commands_topic])).items() if high]
    wait_until(decided(application, cluster), "the purchase is decided")
    noon = datetime.now(UTC)
    wait_until(lambda: (datetime.now(UTC) - noon).total_seconds() > 0.005, "the clock goes on")
    client.ask(purchase("ada", 2, 20_000))
    wait_until(decided(application, cluster), "the purchase is decided")

    def numbers(**told: Any) -> list[int]:
        found, _ = replayed(stricter, cluster, ids, Scope(**told), aggregates=[stricter.aggregate("account")])
        return [each.offset for each in found]

    at = parse_moment(noon.isoformat())
    uuid = topic_ids(cluster, [commands_topic])[commands_topic]
    offsets = ",".join(f"{n}={2 if n == place[1] else 0}" for n in range(PARTITIONS))
    third = parse_moment(f"{commands_topic}@{uuid}:{offsets}")
    assert numbers() == [1, 2]
    assert (numbers(since=at), numbers(until=at)) == ([2], [1])
    assert (numbers(since=third), numbers(until=third)) == ([2], [1])
    assert numbers(since=Moment(time_ms=0), until=third) == [1]
    for text, said in (
        (f"{commands_topic}@{uuid}:0=0", "says nothing of partition 1"),
        (f"{commands_topic}@other:{offsets}", "another topic"),
        (f"{commands_topic}@{uuid}:{offsets.replace('=2', '=9')}", "decided is only what is before 3"),
    ):
        with pytest.raises(InvalidPosition, match=said):
            numbers(since=parse_moment(text))


class Welcomed(Event):
    """An event that no registry knows yet."""

    user_id: Annotated[str, AggregateId]


class Guest(State):
    created: bool = False


@pytest.mark.usefixtures("processor")
def test_what_is_not_registered_yet_is_tried_all_the_same(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    client.ask(CreateUser(user_id="ada", email="a@b", name="Ada"))
    wait_until(decided(application, cluster), "the command is decided")
    before = TopicRegistry(cluster)

    def welcome(guest: Guest, command: CreateUser) -> Sequence[Welcomed]:
        return [Welcomed(user_id=command.user_id)]

    def evolves(guest: Guest, event: Welcomed) -> Guest:
        return Guest(created=True)

    today = Application(application.name, [Aggregate("user", initial=Guest(), decide=welcome, evolve=evolves)])
    [found], _ = replayed(today, cluster, ids)
    assert str(found.now) == "accepted: Welcomed"
    assert str(found.then).startswith("accepted: WrongType")
    before.refresh()
    assert f"{application.name}.user.Welcomed" not in str(before.contents.subjects)
    before.close()
