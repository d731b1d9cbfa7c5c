"""An answer that is had later, by command id: the same one, or for certain none."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Producer

from producers.asked import OtherCommand, Unknown
from producers.client import AskTimeout, Client
from schemas.errors import HandlerNotFound
from schemas.metadata import CommandMetadata
from schemas.outcomes import Accepted, CommandFailed, Rejected, VersionConflict
from schemas.shop.users import ChangeEmail, CreateUser, UserProblem
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from tests.fixtures.shop import running
from tests.kernel.counters import Add
from tests.log import dead_letters_of, log_of, outcomes_of, read_committed
from tests.oracle import check_log
from tests.waiting import wait_until

ADA = CreateUser(user_id="ada", email="ada@example.org", name="Ada")


@pytest.mark.usefixtures("processor")
def test_whoever_asks_later_gets_the_same_answer(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    created = client.ask(ADA, command_id="create")
    refused = client.ask(ADA, command_id="again")
    lost = client.ask(ADA, command_id="lost", expected_version=7)
    assert isinstance(created, Accepted)

    with Client(application.contracts, cluster, ids) as another:
        for _ in range(3):
            assert another.outcome(CreateUser, "ada", "create") == created
        assert another.outcome(CreateUser, "ada", "again") == refused == Rejected(UserProblem.ALREADY_EXISTS)
        assert another.outcome(CreateUser, "ada", "lost") == lost == Rejected(VersionConflict(expected=7, actual=1))


@pytest.mark.usefixtures("processor")
def test_a_command_that_never_arrived_is_told_apart_from_one_that_waits(client: Client) -> None:
    assert client.outcome(CreateUser, "ada", "create") == Unknown("create")
    client.send(ADA, command_id="create")
    assert isinstance(client.outcome(CreateUser, "ada", "create"), Accepted)


def test_without_an_owner_the_question_times_out(client: Client) -> None:
    with pytest.raises(AskTimeout):
        client.outcome(CreateUser, "ada", "create", timeout_s=0.2)


def test_a_question_waits_for_the_next_owner_and_is_answered_from_its_memory(
    client: Client, new_processor: Callable[[int], CommandProcessor]
) -> None:
    with running(new_processor(0)):
        created = client.ask(ADA, command_id="create")
    with ThreadPoolExecutor(1) as waiter:
        later = waiter.submit(client.outcome, CreateUser, "ada", "create")
        with running(new_processor(0)):
            assert later.result() == created


@pytest.mark.usefixtures("processor")
def test_questions_leave_no_trace_in_what_the_log_says_of_commands(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry
) -> None:
    client.ask(ADA, command_id="create")
    for command_id in ("create", "never"):
        client.outcome(CreateUser, "ada", command_id)
    outcomes = outcomes_of(application, "user", cluster, ids)
    check_log(log_of(application, "user", cluster, ids), ["create"])
    assert [each.outcome.status for each in outcomes if each.outcome.command == "AskOutcome"] == ["failed"]
    assert dead_letters_of(application, cluster) == []


@pytest.mark.usefixtures("processor")
def test_a_question_does_not_take_the_answer_from_those_who_wait(client: Client) -> None:
    with ThreadPoolExecutor(8) as askers:
        found = list(askers.map(lambda _: client.ask(ADA, command_id="create"), range(40)))
        asked = list(askers.map(lambda _: client.outcome(CreateUser, "ada", "create"), range(40)))
    assert isinstance(found[0], Accepted)
    assert found + asked == [found[0]] * 80


@pytest.mark.usefixtures("processor")
def test_a_question_for_another_type_is_refused(client: Client) -> None:
    client.ask(ADA, command_id="create")
    with pytest.raises(OtherCommand, match="create is the id of a CreateUser, not of a ChangeEmail"):
        client.outcome(ChangeEmail, "ada", "create")
    with pytest.raises(HandlerNotFound, match="no handler for the command Add"):
        client.outcome(Add, "ada", "create")


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("harm", ["cut", "longer", "wrong key"])
def test_who_asks_what_cannot_be_understood_is_told_and_may_ask_again(
    client: Client, application: Application, cluster: Kafka, ids: TopicRegistry, harm: str
) -> None:
    codec = application.command_codec(application.aggregate("user"), ids)
    good = codec.encode(ADA, CommandMetadata("create"))
    value = {"cut": good[:-3], "longer": good + b"!", "wrong key": good}[harm]
    producer = Producer(cluster.producer())
    producer.produce(f"{application.name}.user.commands", value, b"eve" if harm == "wrong key" else b"ada")
    producer.flush()

    wait_until(lambda: len(dead_letters_of(application, cluster)) == 1, "it is a dead letter")
    [failed] = [each.outcome for each in outcomes_of(application, "user", cluster, ids) if each.outcome.command == ""]
    [letter] = dead_letters_of(application, cluster)
    assert (failed.command_id, failed.status, failed.reason) == ("create", "failed", f"{letter.error}: {letter.reason}")
    assert client.outcome(CreateUser, "ada", "create") == Unknown("create")
    created = client.ask(ADA, command_id="create")
    assert isinstance(created, Accepted)

    producer.produce(f"{application.name}.user.commands", good[:-3], b"ada")  # an answer is given once and for all
    producer.flush()
    assert client.outcome(CreateUser, "ada", "create") == created

    def statuses() -> list[str]:
        found = [each.outcome for each in outcomes_of(application, "user", cluster, ids)]
        return [each.status for each in found if each.command_id == "create"]

    # What was cut is answered too, and the client may have heard that answer before its own.
    wait_until(lambda: len(statuses()) >= 4, "each has its answer")
    assert statuses() == ["failed", *["accepted"] * 3]


@pytest.mark.usefixtures("processor")
def test_an_ask_that_is_damaged_on_its_way_fails_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    put = client._put  # nothing in the client can send a damaged command
    monkeypatch.setattr(client, "_put", lambda topic, data, *rest: put(topic, data[:-3], *rest))
    with pytest.raises(CommandFailed, match="create failed: TruncatedMessage"):
        client.ask(ADA, command_id="create", timeout_s=20)
    with pytest.raises(CommandFailed, match=r"command .* failed: TruncatedMessage"):
        client.outcome(CreateUser, "ada", "create", timeout_s=20)


@pytest.mark.usefixtures("processor")
def test_a_trace_parent_goes_along_as_a_header(client: Client, application: Application, cluster: Kafka) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    client.ask(ADA, traceparent=parent)
    client.send(ADA)
    client.flush()
    headers = [each.headers() for each in read_committed(cluster, f"{application.name}.user.commands")]
    assert sorted(headers, key=bool) == [None, [("traceparent", parent.encode())]]
