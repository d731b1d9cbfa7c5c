"""A command processor in a process of its own, which may kill itself at a given step of a given commit.

`python -m tests.faults.processor_child APPLICATION BOOTSTRAP PARTITIONS STATE SLOT [STEP COMMITS]`
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.processing import DEDUPE_WINDOW_S
from streams.processor import processor as module
from streams.processor.main import run
from streams.processor.run import Run
from streams.processor.transactions import Transactions

STEPS = ("begin", "events", "flush", "outcomes", "offsets", "commit", "committed")


class Deadly(Transactions):
    """Transactions that kill their process before a step, or, for `committed`, right after the commit."""

    step = ""
    commits_left = 0

    def begin(self) -> None:
        Deadly.commits_left -= 1
        self._calls = 0
        self._die_at("begin")
        super().begin()

    def flush(self) -> None:
        super().flush()
        self._die_at("flush")

    def produce(self, topic: str, partition: int, records: Any, headers: Any = None) -> Run:
        run = super().produce(topic, partition, records, headers)
        self._die_at(topic.rpartition(".")[2])
        return run

    def commit(self, consumed: Any, group: Any) -> None:
        self._die_at("offsets")
        super().commit(consumed, group)
        self._die_at("committed")

    def _or_abort(self, call: Callable[[], None]) -> None:
        self._calls += 1
        if self._calls == 2:  # offsets are sent, the commit comes
            self._die_at("commit")
        super()._or_abort(call)

    def _die_at(self, step: str) -> None:
        if Deadly.step == step and Deadly.commits_left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Process commands until told to stop, or until the step."""
    name, bootstrap, partitions, state, slot, *fault = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if fault:
        Deadly.step, Deadly.commits_left = fault[0], int(fault[1])
        setattr(module, "Transactions", Deadly)  # noqa: B010 - mypy knows no other way to replace an import
    kafka = Kafka(bootstrap)
    with TopicRegistry(kafka) as ids:
        application = replace(shop, name=name)
        run(application, kafka, ids, int(partitions), Path(state), slot=int(slot), dedupe_window_s=DEDUPE_WINDOW_S)


if __name__ == "__main__":
    main()
