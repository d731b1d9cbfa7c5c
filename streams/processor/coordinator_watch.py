"""The coordinator watch: whether requests to the transaction coordinator may still be under way.

librdkafka repeats an EndTxn by itself when the connection breaks or the answer takes too long, and reports only the
repeat's success. The first one may still lie in a network and end the next transaction in the middle. Its statistics
are the only trace: for the broker `TxnCoordinator` they count **retries, disconnects and timed out requests**.

Promises: pure; without disturbance the counters of a producer stay zero, so any other number means that it moved.
"""

from typing import NamedTuple

import orjson

INTERVAL_MS = 100
_BROKER = "TxnCoordinator"


class Counters(NamedTuple):
    """What a producer has been through with its coordinator."""

    retries: int = 0
    disconnects: int = 0
    timeouts: int = 0


def counters_of(statistics: str) -> Counters:
    """Return the coordinator's counters in librdkafka's statistics; zeros when it is not among the brokers."""
    broker = orjson.loads(statistics).get("brokers", {}).get(_BROKER)
    if broker is None:
        return Counters()
    return Counters(broker["txretries"], broker["disconnects"], broker["req_timeouts"])


class CoordinatorWatch:
    """Takes one producer's statistics, and says whether the producer can still be trusted."""

    def __init__(self) -> None:
        """Begin with an undisturbed producer."""
        self.counters = Counters()

    def take(self, statistics: str) -> None:
        """Look at newer statistics. A producer's counters never fall."""
        self.counters = counters_of(statistics)

    @property
    def moved(self) -> bool:
        """Whether any counter has moved."""
        return self.counters != Counters()
