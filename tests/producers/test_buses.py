"""The command buses: one suite for the one over Kafka and the one in this process."""

from collections.abc import Iterator
from typing import get_args

import pytest

from producers.bus import KafkaCommandBus
from producers.client import AskTimeout, Client
from schemas.command_bus import CommandBus
from schemas.errors import HandlerNotFound
from schemas.outcomes import Accepted, Rejected, VersionConflict
from schemas.shop.accounts import AccountProblem, OpenAccount, RefundPurchase
from schemas.shop.users import ChangeEmail, CreateUser, UserCommand, UserProblem
from streams.domain.shop.app import shop
from streams.kernel.bus import InProcessCommandBus
from tests.kernel.counters import Add

ADA = CreateUser(user_id="ada", email="ada@example.org", name="Ada")


@pytest.fixture(params=["in process", "over Kafka"])
def bus(request: pytest.FixtureRequest) -> Iterator[CommandBus]:
    """Each of the two; the engines start for the second only."""
    if request.param == "in process":
        yield InProcessCommandBus(shop)
        return
    request.getfixturevalue("processor")
    client: Client = request.getfixturevalue("client")
    yield KafkaCommandBus(client)


def test_a_command_answers_its_result_version_position_and_events(bus: CommandBus) -> None:
    answer = bus.dispatch(ADA, command_id="create-ada")

    assert isinstance(answer, Accepted)
    assert (answer.result, answer.version, answer.event_ids) == ("ada", 1, ("create-ada-1",))
    [((topic, _), offset)] = answer.position.offsets.items()
    assert topic.endswith(".user.events")
    assert offset >= 1


def test_a_refusal_is_a_typed_value(bus: CommandBus) -> None:
    assert bus.dispatch(ChangeEmail(user_id="bob", email="b@c")) == Rejected(UserProblem.NOT_FOUND)
    assert bus.dispatch(CreateUser(user_id="x", email="x", name="")) == Rejected(
        UserProblem.INVALID_EMAIL, "'x' is not of the form name@host"
    )


def test_silence_is_accepted_and_moves_nothing(bus: CommandBus) -> None:
    bus.dispatch(ADA)
    answer = bus.dispatch(ChangeEmail(user_id="ada", email=ADA.email))

    assert isinstance(answer, Accepted)
    assert (answer.version, answer.event_ids, str(answer.position)) == (1, (), "")


def test_one_id_has_one_effect_and_one_answer(bus: CommandBus) -> None:
    first = bus.dispatch(ADA, command_id="once")
    assert bus.dispatch(ADA, command_id="once") == first
    refused = bus.dispatch(ADA, command_id="twice")
    assert refused == bus.dispatch(ADA, command_id="twice") == Rejected(UserProblem.ALREADY_EXISTS)


def test_the_loser_of_an_expected_version_is_told_the_actual_one(bus: CommandBus) -> None:
    assert isinstance(bus.dispatch(ADA, expected_version=0), Accepted)
    assert bus.dispatch(ADA, expected_version=0) == Rejected(VersionConflict(expected=0, actual=1))
    assert isinstance(bus.dispatch(ChangeEmail(user_id="ada", email="a@b"), expected_version=1), Accepted)


def test_aggregate_types_do_not_mix(bus: CommandBus) -> None:
    assert isinstance(bus.dispatch(ADA), Accepted)
    opened = bus.dispatch(OpenAccount(account_id="ada"))
    assert isinstance(opened, Accepted)
    assert (opened.result, opened.version) == ("ada", 1)
    assert bus.dispatch(OpenAccount(account_id="ada")) == Rejected(AccountProblem.ALREADY_OPEN)


def test_a_command_that_nobody_handles_is_named_with_what_there_is(bus: CommandBus) -> None:
    with pytest.raises(HandlerNotFound) as caught:
        bus.dispatch(Add(counter_id="c", amount=1))

    assert "no handler for the command Add; registered: ChangeEmail, CloseAccount, CreateUser" in str(caught.value)
    for command in (*get_args(UserCommand), RefundPurchase):
        assert command.__name__ in str(caught.value)


def test_without_a_processor_the_bus_says_that_the_command_may_still_be_decided(client: Client) -> None:
    with pytest.raises(AskTimeout, match="may still be decided"):
        KafkaCommandBus(client, timeout_s=0.2).dispatch(ADA)
