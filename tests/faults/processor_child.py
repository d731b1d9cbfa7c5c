"""A command processor in a process of its own, which may end (or stop, or hang) at a given step of a commit.

It takes snapshots often, and each of them is a transaction, so that faults fall between them.

`python -m tests.faults.processor_child APPLICATION BOOTSTRAP PARTITIONS STATE SLOT [STEP COMMITS [stop | hang]]`
"""

import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.processing import DEDUPE_WINDOW_S
from streams.processor import main as main_module
from streams.processor import processor as module
from streams.processor import snapshotting
from streams.processor.run import Run
from streams.processor.transactions import Transactions

STEPS = ("begin", "events", "outcomes", "offsets", "commit", "flush", "committed")
SNAPSHOT_EVENTS = 50
HANG_S_MAX = 10.0  # shorter than in life: the test waits for it


class Deadly(Transactions):
    """Transactions that kill their process before a step, or, for `committed`, right after the commit.

    A topic's kind is the step after its records were produced; with "before" in front of it, the step before.
    """

    step = ""
    commits_left = 0
    end = signal.SIGKILL
    hangs = False

    def begin(self) -> None:
        Deadly.commits_left -= 1
        self._die_at("begin")
        super().begin()

    def flush(self) -> None:
        super().flush()
        self._die_at("flush")

    def produce(self, topic: str, partition: int, records: Any, headers: Any = None, *, early: bool = False) -> Run:
        kind = topic.rpartition(".")[2]
        self._die_at(f"before {kind}")
        run = super().produce(topic, partition, records, headers, early=early)
        self._die_at(kind)
        return run

    def send_offsets(self, consumed: Any, group: Any) -> None:
        super().send_offsets(consumed, group)
        self._die_at("offsets")

    def commit(self) -> None:
        self._die_at("commit")
        super().commit()
        self._die_at("committed")

    def _die_at(self, step: str) -> None:
        if Deadly.step == step and Deadly.commits_left <= 0:
            if Deadly.hangs:
                threading.Event().wait()
            Deadly.step = ""
            os.kill(os.getpid(), Deadly.end)


def main() -> None:
    """Process commands until told to stop, or until the step."""
    name, bootstrap, partitions, state, slot, *fault = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if fault:
        Deadly.step, Deadly.commits_left = fault[0], int(fault[1])
        Deadly.end = signal.SIGSTOP if "stop" in fault else signal.SIGKILL
        Deadly.hangs = "hang" in fault
        if Deadly.hangs:
            main_module.LIMITS = main_module.Limits(stall_s_max=HANG_S_MAX)
        setattr(module, "Transactions", Deadly)  # noqa: B010 - mypy knows no other way to replace an import
    snapshotting.SLICE_S, snapshotting.SHARE = 0.0, 1.0
    kafka = Kafka(bootstrap)
    with TopicRegistry(kafka) as ids:
        application = replace(shop, name=name)
        main_module.run(
            application,
            kafka,
            ids,
            int(partitions),
            Path(state),
            slot=int(slot),
            dedupe_window_s=DEDUPE_WINDOW_S,
            snapshot_events=SNAPSHOT_EVENTS,
        )


if __name__ == "__main__":
    main()
