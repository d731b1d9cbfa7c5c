"""Rivals for one aggregate and repeats of one command: one wins, one effect, one answer."""

from concurrent.futures import ThreadPoolExecutor

from producers.client import Client
from schemas.outcomes import Accepted, Rejected, VersionConflict
from schemas.registry import SchemaIds
from schemas.shop.accounts import OpenAccount, RecordPurchase
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from tests.faults.judge import Judge
from tests.faults.load import DAY
from tests.faults.processes import Processors
from tests.log import events_of
from tests.waiting import wait_until

WRITERS = 32
REPEATS = 250
PURCHASE = RecordPurchase(account_id="ada", purchase_id="p", day=DAY, quantity=1, amount_cents=100)


def test_of_32_writers_with_one_expected_version_exactly_one_wins(
    processors: Processors, client: Client, judge: Judge
) -> None:
    processors.start(0)
    processors.start(1)
    assert isinstance(client.ask(OpenAccount(account_id="ada"), command_id="open"), Accepted)

    def write(number: int) -> object:
        purchase = PURCHASE.model_copy(update={"purchase_id": f"p{number}"})
        return client.ask(purchase, command_id=f"w{number}", expected_version=1)

    with ThreadPoolExecutor(WRITERS) as writers:
        answers = list(writers.map(write, range(WRITERS)))
    assert sum(isinstance(each, Accepted) for each in answers) == 1
    assert answers.count(Rejected(VersionConflict(expected=1, actual=2))) == WRITERS - 1
    judge.judge("open", *(f"w{number}" for number in range(WRITERS)))


def test_one_command_a_thousand_times_across_a_restart_and_a_takeover(
    processors: Processors, client: Client, judge: Judge, application: Application, cluster: Kafka, ids: SchemaIds
) -> None:
    def repeat() -> None:
        for _ in range(REPEATS):
            client.send(PURCHASE, command_id="same")
        client.flush()

    processors.start(0)
    client.ask(OpenAccount(account_id="ada"), command_id="open")
    repeat()
    processors.kill(0)
    repeat()
    processors.start(0)
    wait_until(lambda: {"same"} <= judge.answered(), "it is answered")
    repeat()
    processors.kill(0)
    repeat()
    processors.start(1)
    client.ask(OpenAccount(account_id="ada"), command_id="last")  # behind all repeats
    judge.judge("open", "same", "last")
    assert len([e for e in events_of(application, "account", cluster, ids) if e.metadata.command_id == "same"]) == 1
