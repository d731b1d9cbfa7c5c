"""Process managers on real engines: money moves or comes back, once, whatever happens to the workers."""

import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from producers.client import Client
from schemas.outcomes import Accepted
from schemas.shop.accounts import (
    AccountOpened,
    AccountProblem,
    CloseAccount,
    CreditReceived,
    CreditReturned,
    CreditSent,
    GrantCredit,
    OpenAccount,
    SendCredit,
)
from schemas.shop.users import CreateUser, DeactivateUser
from streams.domain.shop.accounts import Account, account
from streams.domain.shop.process_managers import credit_transfer
from streams.postgres.connection import connect
from streams.postgres.parking import parked
from streams.processor.processor import CommandProcessor
from tests.fixtures.shop import running
from tests.log import events_of, log_of, outcomes_of, read_committed
from tests.oracle import check_log
from tests.worker.world import PARTITIONS, Workers, World

GRANTED = 10_000
DECIDED_AS_FAR = """
SELECT bool_and(d.next >= o.next)
FROM kafold.checkpoints d JOIN kafold.checkpoints o USING (application, topic, partition)
WHERE d.projection = o.projection || ' (decided)'
"""


@pytest.fixture
def client(world: World, tmp_path: Path) -> Iterator[Client]:
    """A client of the world's commands, which a processor decides."""
    made = CommandProcessor(world.application, world.kafka, world.ids, PARTITIONS, tmp_path / "processor")
    with running(made), Client(world.application.contracts, world.kafka, world.ids) as client:
        yield client


def rich(client: Client, *names: str) -> None:
    for name in names:
        client.ask(OpenAccount(account_id=name))
        client.ask(GrantCredit(account_id=name, amount_cents=GRANTED))


def pay(sender: str, receiver: str, cents: int, number: str) -> SendCredit:
    return SendCredit(account_id=sender, transfer_id=number, to_account_id=receiver, amount_cents=cents)


def accounts(world: World) -> dict[str, Account]:
    found: dict[str, Account] = {}
    for each in events_of(world.application, "account", world.kafka, world.ids):
        event: Any = each.event
        found[event.account_id] = account.evolve(found.get(event.account_id, Account()), event)
    return found


def credits_of(world: World) -> dict[str, int]:
    return {name: each.credit_cents for name, each in accounts(world).items()}


def rows(world: World, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(world.dsn) as connection:
        return connection.execute(statement).fetchall()


def is_quiet(world: World, sent: int) -> bool:
    """Whether all of so many transfers are over."""
    ends = CreditReceived, CreditReturned
    events = events_of(world.application, "account", world.kafka, world.ids)
    over = sum(isinstance(each.event, ends) for each in events)
    return over == sent and not world.actual(credit_transfer) and not rows(world, "SELECT 1 FROM kafold.outbox")


def commands(world: World) -> Counter[str]:
    """Return how often each command id is on the accounts' topic."""
    codec = world.application.command_codec(account, world.ids)
    records = read_committed(world.kafka, world.application.topics(account).commands)
    return Counter(str(codec.decode(each.value())[1].command_id) for each in records)


def test_a_transfer_goes_through(world: World, workers: Workers, client: Client) -> None:
    workers.start("a")
    rich(client, "ada", "bob")
    asked = client.ask(pay("ada", "bob", 1200, "t1"), correlation_id="talk", command_id="c1")
    assert isinstance(asked, Accepted)
    workers.until(lambda: is_quiet(world, 1))
    assert credits_of(world) == {"ada": GRANTED - 1200, "bob": GRANTED + 1200}
    (received,) = [
        each
        for each in events_of(world.application, "account", world.kafka, world.ids)
        if isinstance(each.event, CreditReceived)
    ]
    assert received.metadata.correlation_id == "talk"
    assert received.metadata.causation_id == "c1-1"
    assert received.metadata.command_id == credit_transfer.command_id("c1-1", 1)


@pytest.mark.parametrize("receiver", ["nobody", "closed"])
def test_a_transfer_that_the_second_account_refuses_comes_back(
    world: World, workers: Workers, client: Client, receiver: str
) -> None:
    workers.start("a")
    rich(client, "ada")
    client.ask(OpenAccount(account_id="closed"))
    client.ask(CloseAccount(account_id="closed"))
    client.ask(pay("ada", receiver, 1200, "t1"))
    workers.until(lambda: is_quiet(world, 1))
    assert credits_of(world) == {"ada": GRANTED, "closed": 0}
    refusals = [each.outcome for each in outcomes_of(world.application, "account", world.kafka, world.ids)]
    wanted = AccountProblem.CLOSED if receiver == "closed" else AccountProblem.NOT_OPEN
    assert [each.problem for each in refusals if each.command == "ReceiveCredit"] == [f'["{wanted}",null]']


def test_deactivating_a_user_closes_the_account(world: World, workers: Workers, client: Client) -> None:
    workers.start("a")
    client.ask(OpenAccount(account_id="ada"))
    for name in ("ada", "bob"):  # bob has no account
        client.ask(CreateUser(user_id=name, email="a@example.org", name=name))
        client.ask(DeactivateUser(user_id=name))
    workers.until(lambda: accounts(world)["ada"].closed)
    workers.until(lambda: not rows(world, "SELECT 1 FROM kafold.outbox"))
    assert not of_parked(world)


def of_parked(world: World) -> list[Any]:
    with connect(world.dsn, "test") as connection:
        return parked(connection, world.application.name)


def shuffle_money(client: Client, chance: random.Random, begin: int, count: int, names: list[str]) -> int:
    """Ask for transfers, some of them to nobody; return how many were sent."""
    sent = 0
    for number in range(begin, begin + count):
        sender, receiver = chance.sample(names, 2)
        to = "nobody" if chance.random() < 0.4 else receiver
        sent += isinstance(client.ask(pay(sender, to, chance.randrange(900), f"t{number}")), Accepted)
    return sent


def assert_each_step_acted_once(world: World, sent: int, names: list[str]) -> None:
    log = log_of(world.application, "account", world.kafka, world.ids)
    check_log(log, commands(world))
    ends = Counter(
        (getattr(event, "from_account_id", event.account_id), event.transfer_id)
        for event in (each.event for each in log.events)
        if isinstance(event, CreditReceived | CreditReturned)
    )
    begun = {
        (event.account_id, event.transfer_id)
        for event in (each.event for each in log.events)
        if isinstance(event, CreditSent)
    }
    assert len(begun) == sent
    assert ends == Counter(begun)
    assert sum(credits_of(world).values()) == GRANTED * len(names)
    assert not of_parked(world)


@pytest.mark.parametrize("rounds", [1, pytest.param(4, marks=pytest.mark.faults_campaign)])
def test_workers_that_are_killed_at_every_step_conserve_money(
    world: World, workers: Workers, client: Client, rounds: int
) -> None:
    chance, names, sent = random.Random(7), [f"a{number}" for number in range(8)], 0
    rich(client, *names)
    for round_number, step in enumerate(["decide", "send", "note", "decided"] * rounds):
        child = workers.start("a", f"{step}:3:SIGKILL")
        sent += shuffle_money(client, chance, 100 * round_number, 12, names)
        child.wait(60)
        assert workers.bury("a") == -signal.SIGKILL, workers.logs()
    workers.start("a")
    workers.until(lambda: is_quiet(world, sent))
    assert_each_step_acted_once(world, sent, names)


def test_two_workers_that_are_killed_at_any_moment_conserve_money(
    world: World, workers: Workers, client: Client
) -> None:
    chance, names, sent = random.Random(8), [f"a{number}" for number in range(8)], 0
    rich(client, *names)
    for name in "ab":
        workers.start(name)
    for round_number in range(6):
        sent += shuffle_money(client, chance, 100 * round_number, chance.randrange(5, 40), names)
        workers.kill(chance.choice("ab"))
        workers.revive()
    workers.until(lambda: is_quiet(world, sent), timeout_s=120)
    assert_each_step_acted_once(world, sent, names)


def test_a_process_manager_that_is_rebuilt_sends_nothing(world: World, workers: Workers, client: Client) -> None:
    names = ["ada", "bob"]
    rich(client, *names)
    workers.start("a")
    sent = shuffle_money(client, random.Random(9), 0, 20, names)
    workers.until(lambda: is_quiet(world, sent))
    before = commands(world)
    workers.running["a"].kill()
    workers.running.pop("a").wait()
    with psycopg.connect(world.dsn) as connection:
        connection.execute("UPDATE kafold.checkpoints SET next = 0 WHERE projection LIKE '% (decided)'")
    workers.start("a")
    workers.until(lambda: rows(world, DECIDED_AS_FAR) == [(True,)])
    shuffle_money(client, random.Random(10), 100, 1, names)
    workers.until(lambda: len(commands(world)) == len(before) + 2)  # SendCredit and what follows from it
    after = commands(world)
    assert {command_id: after[command_id] for command_id in before} == before


def test_an_event_that_is_older_than_the_dedupe_window_is_refused(world: World, workers: Workers) -> None:
    writer = world.writer()
    old, new = (CreditSent(account_id="ada", transfer_id=n, to_account_id="bob", amount_cents=1) for n in ("t1", "t2"))
    writer.burst([AccountOpened(account_id="ada"), old], age_s=8 * 24 * 3600)
    writer.burst([new])
    workers.start("a")
    workers.until(lambda: len(commands(world)) == 1)
    (found,) = of_parked(world)
    assert (found.projection, found.key, found.error_type) == ("credit_transfer", "ada/t1", "BeyondDedupeWindow")
    command_id = credit_transfer.command_id("ada:2-1", 1)
    for told in ("older than the dedupe window", f"ReceiveCredit bob (command id {command_id})", "then discard"):
        assert told in str(found.error)
    assert set(commands(world)) == {credit_transfer.command_id("ada:3-1", 1)}
