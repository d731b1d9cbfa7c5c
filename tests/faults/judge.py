"""The judge: waits until every command is answered, and holds the oracle against what is in the log."""

from producers.client import Client
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from tests.faults.load import send
from tests.log import log_of, outcomes_of
from tests.oracle import check_log
from tests.waiting import wait_until


class Judge:
    """Judges the accounts of one application. It remembers every command that it had sent."""

    def __init__(self, application: Application, cluster: Kafka, ids: SchemaIds, client: Client) -> None:
        """Begin with nothing asked."""
        self.application, self.cluster, self.ids, self.client = application, cluster, ids, client
        self.asked: set[str] = set()

    def send(self, seed: int, count: int) -> None:
        """Send a load, and wait until Kafka has it."""
        self.asked |= send(self.client, seed, count)

    def answered(self) -> set[str]:
        """Return the ids of the commands that have a committed outcome."""
        found = outcomes_of(self.application, "account", self.cluster, self.ids)
        return {each.outcome.command_id for each in found}

    def all_answered(self) -> bool:
        """Whether every command has an answer."""
        return self.asked <= self.answered()

    def judge(self, *others: str, timeout_s: float = 60.0) -> None:
        """Wait for the answers, to `others` too, then check the whole log."""
        self.asked.update(others)
        wait_until(self.all_answered, f"all {len(self.asked)} commands are answered", timeout_s, pause_s=0.2)
        check_log(log_of(self.application, "account", self.cluster, self.ids), self.asked)
