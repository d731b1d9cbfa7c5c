"""A command without an id of its own, sent again from its dead letter: one effect, under the id that it had."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.dead_letters import Letter, letter_at, letters, send_again
from producers.client import Client
from schemas.metadata import CommandMetadata
from schemas.outcomes import Rejected
from schemas.position import Place
from streams.kafka.config import Kafka
from streams.kafka.ends import marks_of
from streams.kafka.registry import TopicRegistry, register
from streams.kafka.topics import prepare_topics
from streams.kernel.aggregate import Aggregate
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from streams.redeciding.replaying import Redecided, Tally, redecide
from streams.redeciding.scope import Scope
from tests.fixtures.shop import DEDUPE_WINDOW_S, PARTITIONS, running
from tests.kernel.counters import (
    COUNTER,
    LIMIT,
    Add,
    Added,
    CounterCommand,
    CounterProblem,
    Split,
    Weather,
    counter_under,
    decide,
    evolve,
    result,
)  # fmt: skip
from tests.kernel.counters import Counter as Count
from tests.log import events_of, log_of, outcomes_of
from tests.oracle import check_events_match, check_log, check_one_answer, check_versions
from tests.waiting import wait_until


def only_add(counter: Count, command: Add) -> Sequence[Added] | Rejected[CounterProblem]:
    """The rules of a release that knows no other command."""
    return decide(counter, command)


def prepared(name: str, cluster: Kafka, dsn: str) -> Application:
    application = Application(name, aggregates=[COUNTER])
    prepare_topics(cluster, application, PARTITIONS, 1, DEDUPE_WINDOW_S)
    register(cluster, dsn, application.subjects())
    return application


def put(application: Application, cluster: Kafka, ids: TopicRegistry, command: CounterCommand) -> None:
    """Send a command that has no id."""
    producer = Producer(cluster.producer())
    encode = application.command_codec(application.aggregate("counter"), ids).encode
    topic = application.topics(application.aggregate("counter")).commands
    producer.produce(topic, encode(command, CommandMetadata()), command.aggregate_id.encode())
    producer.flush()


def letters_when(count: int, application: Application, cluster: Kafka) -> list[Letter]:
    wait_until(lambda: len(letters(application, cluster)) == count, f"there are {count} dead letters")
    return letters(application, cluster)


def replayed(application: Application, cluster: Kafka, ids: TopicRegistry) -> tuple[list[Redecided], Tally]:
    tally = Tally()
    found = redecide(application, application.aggregates, cluster, ids, Scope(), tally, dedupe_window_s=DEDUPE_WINDOW_S)
    return list(found), tally


def shorten(cluster: Kafka, place: Place, offset: int) -> None:
    admin = AdminClient(cluster.admin())
    for future in admin.delete_records([TopicPartition(*place, offset)]).values():
        future.result()


def test_what_failed_acts_once_however_often_it_is_sent_again(
    topic_prefix: str, cluster: Kafka, dsn: str, tmp_path: Path
) -> None:
    weather = Weather(decide_fails=True)
    made = prepared(topic_prefix, cluster, dsn)
    application = Application(made.name, aggregates=[counter_under(weather)])
    topics = application.topics(application.aggregate("counter"))
    with TopicRegistry(cluster) as ids, Client(application.contracts, cluster, ids) as client:
        with running(CommandProcessor(application, cluster, ids, PARTITIONS, tmp_path / "0")):
            put(application, cluster, ids, Add(counter_id="c", amount=5))
            [first] = letters_when(1, application, cluster)
            assert first.letter is not None
            command_id, place = first.letter.origin, (topics.commands, first.letter.partition)
            assert send_again(application, cluster, [first]) == 1
            _, second = letters_when(2, application, cluster)
            weather.decide_fails = False
            for _ in range(2):
                assert send_again(application, cluster, [first, second]) == 2
            client.ask(Add(counter_id="c", amount=1), command_id="last")

        assert [each.event for each in events_of(application, "counter", cluster, ids)] == [
            Added(counter_id="c", amount=5),
            Added(counter_id="c", amount=1),
        ]
        answers = [each.outcome for each in outcomes_of(application, "counter", cluster, ids)]
        assert Counter((each.command_id, str(each.status)) for each in answers) == {
            (command_id, "failed"): 2,
            (command_id, "accepted"): 4,
            ("last", "accepted"): 1,
        }
        check_log(log_of(application, "counter", cluster, ids), [command_id, "last"])

        times = [len(each.sent_again_ms) for each in letters(application, cluster)]
        assert times == [3, 2]
        assert letter_at(application, cluster, first.place) == letters(application, cluster)[0]
        assert letters(application, cluster, limit=1) == letters(application, cluster)[1:]

        # What had failed would be accepted today; the times after that are repeats.
        found, tally = replayed(application, cluster, ids)
        assert [(each.offset, each.command_id) for each in found] == [(0, command_id), (1, command_id)]
        assert (tally.decided, tally.repeated) == (4, 3)
        # The first one is gone, and so are the outcomes, and yet the events are of a command that is there.
        shorten(cluster, place, 1)
        outcomes = topics.outcomes, place[1]
        shorten(cluster, outcomes, marks_of(cluster, [outcomes])[outcomes][1])
        found, tally = replayed(application, cluster, ids)
        assert (found, tally.decided, tally.repeated) == ([], 2, 4)


def test_what_could_not_be_read_is_judged_where_it_was_decided(
    topic_prefix: str, cluster: Kafka, dsn: str, tmp_path: Path
) -> None:
    application = prepared(topic_prefix, cluster, dsn)
    old = Application(
        application.name,
        aggregates=[Aggregate("counter", initial=Count(), decide=only_add, evolve=evolve, result=result)],
    )
    with TopicRegistry(cluster) as ids, Client(application.contracts, cluster, ids) as client:
        with running(CommandProcessor(old, cluster, ids, PARTITIONS, tmp_path / "0")):
            put(application, cluster, ids, Split(counter_id="c", amount=2))
            put(application, cluster, ids, Split(counter_id="c", amount=LIMIT + 1))
            found = letters_when(2, application, cluster)
            client.ask(Add(counter_id="c", amount=1))
        with running(CommandProcessor(application, cluster, ids, PARTITIONS, tmp_path / "1")):
            for _ in range(2):
                send_again(application, cluster, found)
            client.ask(Add(counter_id="c", amount=1), command_id="last")
        origins = [each.letter.origin for each in found if each.letter is not None]
        log = log_of(application, "counter", cluster, ids)
        check_versions(log.events)
        check_events_match(log.events, check_one_answer(log.outcomes))
        statuses = Counter(
            (origins.index(each.outcome.command_id), str(each.outcome.status))
            for each in log.outcomes
            if each.outcome.command_id in origins
        )
        assert statuses == {(0, "accepted"): 2, (1, "rejected"): 2}

        differing, tally = replayed(application, cluster, ids)
        # Of the first ones it is only known that they left no events, which the one would today.
        assert [(each.offset, each.then.kind, each.now.kind) for each in differing] == [(0, "no events", "accepted")]
        assert (tally.decided, tally.repeated, tally.not_kept) == (6, 2, 1)
