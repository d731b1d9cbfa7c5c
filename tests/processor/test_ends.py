"""Ends: outcomes go out at once with the offsets that are expected, and never with a wrong one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from producers.client import Client
from schemas.messages import Command
from schemas.outcomes import Accepted
from schemas.shop.accounts import OpenAccount
from schemas.shop.users import ChangeEmail, CreateUser
from streams.kafka.config import Kafka
from streams.kafka.ends import places_of, settled_ends
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.processor.ends import Ends
from streams.processor.processor import CommandProcessor
from streams.processor.run import Run
from tests.faults.foreign import End, Foreign
from tests.fixtures.shop import PARTITIONS, running
from tests.log import log_of
from tests.oracle import check_log
from tests.waiting import wait_until

HERE = "events", 0
ENOUGH = 16  # to be in every partition


def report(run: Run, *offsets: int) -> None:
    for offset in offsets:
        run.delivered(None, SimpleNamespace(offset=lambda offset=offset: offset))


def add(ends: Ends, count: int) -> Run:
    run = Run(count, [], begin=ends.of(HERE))
    ends.add(HERE, run)
    return run


def test_the_next_transaction_begins_behind_the_marker_of_the_last_one() -> None:
    ends = Ends()
    first = add(ends, 3)
    assert not first.has_offsets
    assert not ends.are_to_be_compared()
    report(first, 7, 9)
    ends.committed()

    second, third = add(ends, 2), add(ends, 1)
    assert (list(second.offsets() or ()), list(third.offsets() or ())) == ([11, 12], [13])
    assert ends.are_to_be_compared()
    report(second, 11, 12)
    report(third, 13)
    assert ends.are_as_expected()


@pytest.mark.parametrize("offsets", [(12, 14), (11, 14), (10, 12)])
def test_what_is_not_where_it_was_expected_is_noticed(offsets: tuple[int, int]) -> None:
    ends = Ends()
    report(add(ends, 1), 9)
    ends.committed()

    run = add(ends, 3)
    report(run, *offsets)
    assert list(run.offsets() or ()) == [11, 12, 13]
    assert not ends.are_as_expected()


def test_after_something_else_nothing_is_expected() -> None:
    ends = Ends()
    report(add(ends, 1), 9)
    ends.committed()
    ends.forget()
    assert not add(ends, 1).has_offsets


class Commands:
    """Commands that are accepted, one at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.ids: dict[str, list[str]] = {"user": [], "account": []}

    def rename(self, count: int) -> None:
        """Have one user change so often; creating it is the first change."""
        for number in range(len(self.ids["user"]), len(self.ids["user"]) + count):
            change = ChangeEmail(user_id="ada", email=f"{number}@b")
            self._ask("user", change if number else CreateUser(user_id="ada", email="a@b", name="Ada"))

    def open(self, count: int) -> None:
        """Have so many new users and as many new accounts."""
        for _ in range(count):
            name = f"n{len(self.ids['user'])}"
            self._ask("user", CreateUser(user_id=name, email="a@b", name="A"))
            self._ask("account", OpenAccount(account_id=name))

    def _ask(self, aggregate: str, command: Command[Any, Any]) -> None:
        ids = self.ids[aggregate]
        ids.append(f"{aggregate} {len(ids)}")
        assert isinstance(self._client.ask(command, command_id=ids[-1]), Accepted)


@pytest.fixture
def commands(client: Client) -> Commands:
    return Commands(client)


@pytest.fixture
def judge(application: Application, cluster: Kafka, ids: TopicRegistry, commands: Commands) -> Callable[[], None]:
    def check() -> None:
        for aggregate, command_ids in commands.ids.items():
            topics = application.topics(application.aggregate(aggregate))
            settled_ends(cluster, places_of(cluster, [topics.events, topics.outcomes]))
            check_log(log_of(application, aggregate, cluster, ids), command_ids)

    return check


@pytest.fixture
def expected(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each comparison, whether everything was as expected."""
    compared: list[bool] = []
    original = Ends.are_as_expected

    def noted(self: Ends) -> bool:
        if self.are_to_be_compared():
            compared.append(original(self))
        return original(self)

    monkeypatch.setattr(Ends, "are_as_expected", noted)
    return compared


@pytest.mark.usefixtures("processor")
def test_one_command_after_the_other_is_exact(
    commands: Commands, judge: Callable[[], None], expected: list[bool]
) -> None:
    commands.rename(10)
    assert expected == [True] * 9  # of the first one nothing is known
    judge()


def test_somebody_else_who_writes_between_transactions_changes_no_outcome(
    commands: Commands,
    judge: Callable[[], None],
    expected: list[bool],
    processor: CommandProcessor,
    application: Application,
    cluster: Kafka,
) -> None:
    commands.rename(3)
    somebody = Foreign(cluster, End.ABORT)  # nobody sees what it writes, but it has an offset
    for topic, partition in places_of(cluster, [application.topics(application.aggregate("user")).events]):
        somebody.write(topic, b"somebody", b"no event", partition)
    somebody.end()
    commands.rename(3)

    assert expected == [True, True, False]  # from then on nothing is expected any more
    assert not processor._transactions._is_alone
    judge()


def test_a_partition_that_comes_back_begins_with_nothing_expected(
    commands: Commands,
    judge: Callable[[], None],
    expected: list[bool],
    new_processor: Callable[[int], CommandProcessor],
) -> None:
    with running(new_processor(0)) as first:
        commands.open(ENOUGH)
        with running(new_processor(1)) as second:
            wait_until(lambda: len(first.owned) == len(second.owned), "they share the partitions")
            commands.open(ENOUGH)
        wait_until(lambda: len(first.owned) == 2 * PARTITIONS, "the first one has them all again", timeout_s=60)
        commands.open(ENOUGH)
        assert first._transactions._is_alone
    assert all(expected)
    judge()
