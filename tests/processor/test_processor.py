"""The command processor on real Kafka: answers, repeats, conflicts, dead letters, restarts."""

import struct
from collections.abc import Callable
from datetime import date

import pytest
from confluent_kafka import Producer

from producers.client import AskTimeout, Client
from schemas.metadata import CommandMetadata
from schemas.outcomes import Accepted, Rejected, Status, VersionConflict
from schemas.shop.accounts import AccountProblem, OpenAccount, RecordPurchase
from schemas.shop.users import ChangeEmail, CreateUser, UserCreated, UserProblem
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from tests.fixtures.shop import running
from tests.log import dead_letters_of, events_of, log_of, outcomes_of
from tests.oracle import check_log
from tests.waiting import wait_until

ADA = CreateUser(user_id="ada", email="ada@example.org", name="Ada")


@pytest.mark.usefixtures("processor")
def test_a_command_is_answered_with_its_result_version_and_position(client: Client, application: Application) -> None:
    answer = client.ask(ADA)

    assert isinstance(answer, Accepted)
    assert (answer.result, answer.version) == ("ada", 1)
    [((topic, _), _)] = answer.position.offsets.items()
    assert topic == f"{application.name}.user.events"
    assert answer.position.topic_ids[topic]


@pytest.mark.usefixtures("processor")
def test_a_refusal_is_a_value_and_leaves_no_event(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    client.ask(ADA)

    assert client.ask(ADA) == Rejected(UserProblem.ALREADY_EXISTS)
    assert client.ask(ChangeEmail(user_id="bob", email="b@c")) == Rejected(UserProblem.NOT_FOUND)
    [recorded] = events_of(application, "user", cluster, ids)
    assert recorded.event == UserCreated(user_id="ada", email="ada@example.org", name="Ada")


@pytest.mark.usefixtures("processor")
def test_the_loser_of_an_expected_version_is_told_the_actual_one(client: Client) -> None:
    must_not_exist = 0
    assert isinstance(client.ask(ADA, expected_version=must_not_exist), Accepted)

    again = client.ask(ADA, expected_version=must_not_exist)
    assert again == Rejected(VersionConflict(expected=0, actual=1))
    assert isinstance(client.ask(ChangeEmail(user_id="ada", email="a@b"), expected_version=1), Accepted)


@pytest.mark.usefixtures("processor")
def test_one_command_id_has_one_effect_and_one_answer(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    first = client.ask(ADA, command_id="create-ada")
    again = [client.ask(ADA, command_id="create-ada") for _ in range(20)]

    assert again == [first] * 20
    refused = client.ask(ADA, command_id="create-ada-2")
    assert client.ask(ADA, command_id="create-ada-2") == refused
    check_log(log_of(application, "user", cluster, ids), ["create-ada", "create-ada-2"])


def test_a_new_owner_knows_what_its_predecessor_committed(
    client: Client, new_processor: Callable[[int], CommandProcessor]
) -> None:
    with running(new_processor(0)):
        first = client.ask(ADA, command_id="create-ada")
    with running(new_processor(0)):
        assert client.ask(ADA, command_id="create-ada") == first
        assert client.ask(ADA) == Rejected(UserProblem.ALREADY_EXISTS)
        changed = client.ask(ChangeEmail(user_id="ada", email="a@b"), expected_version=1)
        assert isinstance(changed, Accepted)


def test_an_ask_that_nobody_answers_times_out_and_says_how_to_go_on(client: Client) -> None:
    with pytest.raises(AskTimeout, match="ask again with this id"):
        client.ask(ADA, timeout_s=0.2)


@pytest.mark.usefixtures("processor")
def test_what_cannot_be_understood_is_a_dead_letter_and_nothing_stops(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    topic = f"{application.name}.user.commands"
    good = application.command_codec(application.aggregate("user"), ids).encode(ADA, CommandMetadata())
    foreign = application.command_codec(application.aggregate("account"), ids).encode(
        OpenAccount(account_id="ada"), CommandMetadata()
    )
    rubbish = {
        "WrongMagicByte": (b"ada", b"{json?}"),
        "UnknownSchemaId": (b"ada", b"\0" + struct.pack(">I", 999_999_999) + b"x"),
        "WrongType": (b"ada", foreign),
        "TruncatedMessage": (b"ada", good[:-3]),
        "TrailingBytes": (b"ada", good + b"!"),
        "WrongKey": (b"bob", good),
    }
    producer = Producer(cluster.producer())
    for key, value in rubbish.values():
        producer.produce(topic, value, key, headers=[("traceparent", b"00-1")])
    producer.flush()

    assert isinstance(client.ask(ADA), Accepted)
    wait_until(lambda: len(dead_letters_of(application, cluster)) == len(rubbish), "all rubbish is a dead letter")
    letters = dead_letters_of(application, cluster)
    assert {each.error: (each.key, each.value) for each in letters} == rubbish
    for letter in letters:
        assert letter.topic == topic
        assert letter.offset >= 0
        assert letter.reason
        assert list(letter.headers) == [("traceparent", b"00-1")]


@pytest.mark.usefixtures("processor")
def test_a_key_that_another_partitioner_placed_is_refused(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    codec = application.command_codec(application.aggregate("user"), ids)
    home = client.ask(ADA).position  # type: ignore[union-attr]
    [(_, partition)] = home.offsets
    producer = Producer(cluster.producer())
    bob = CreateUser(user_id="ada2", email="a@b", name="Bob")
    for wrong in range(4):
        producer.produce(f"{application.name}.user.commands", codec.encode(bob, CommandMetadata()), b"ada2", wrong)
    producer.flush()

    wait_until(lambda: len(dead_letters_of(application, cluster)) == 3, "three of four partitions refuse the key")
    assert {each.error for each in dead_letters_of(application, cluster)} == {"WrongKey"}
    assert partition in range(4)


@pytest.mark.usefixtures("processor")
def test_a_command_without_an_id_gets_one_from_its_place(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    codec = application.command_codec(application.aggregate("user"), ids)
    producer = Producer(cluster.producer())
    producer.produce(f"{application.name}.user.commands", codec.encode(ADA, CommandMetadata()), b"ada")
    producer.flush()

    wait_until(lambda: bool(outcomes_of(application, "user", cluster, ids)), "the command is answered")
    [answered] = outcomes_of(application, "user", cluster, ids)
    assert answered.outcome.status == Status.ACCEPTED
    assert answered.outcome.command_id == f"{application.name}.user.commands-{answered.partition}-0"


def test_several_processors_share_the_partitions(
    client: Client,
    new_processor: Callable[[int], CommandProcessor],
    application: Application,
    cluster: Kafka,
    ids: TopicRegistry,
) -> None:
    asked = []
    with running(new_processor(0)) as first, running(new_processor(1)) as second:
        wait_until(lambda: bool(first.owned and second.owned), "both own partitions")
        for number in range(200):
            asked.append(client.send(OpenAccount(account_id=f"a{number % 50}")))
            asked.append(
                client.send(
                    RecordPurchase(
                        account_id=f"a{number % 50}", purchase_id=f"{number}", day=date(1997, 1, 1), quantity=1,
                        amount_cents=0,
                    )
                )
            )  # fmt: skip
        client.flush()
        wait_until(
            lambda: len(outcomes_of(application, "account", cluster, ids)) == len(asked), "every command is answered"
        )
    log = log_of(application, "account", cluster, ids)
    check_log(log, asked)
    assert sum(each.outcome.status == Status.REJECTED for each in log.outcomes) == 150
    assert f'"{AccountProblem.ALREADY_OPEN.value}"' in str(log.outcomes)
