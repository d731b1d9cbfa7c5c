"""The memories of a processor's partitions: opened under the right stamp, and written now and then.

Promises: a memory's local state is used only if the folding code and the topics are those that made it.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from streams.kafka.config import Kafka
from streams.kafka.topics import topic_ids
from streams.kernel.snapshots import SnapshotCodec
from streams.processor.lane import Lane
from streams.processor.local_state import LocalState
from streams.processor.memory import GENERATION_MAX, PartitionMemory

_LOG = logging.getLogger("kafold.processor")
WRITE_INTERVAL_S = 5.0


class Memories:
    """Opens and writes memories. `state`: the folder of this processor's local state.

    `codecs`: of snapshots, by the topic of commands; an aggregate type without one does without.
    """

    def __init__(
        self, kafka: Kafka, lanes: Sequence[Lane], state: Path, dedupe_window_s: int, *, snapshots: bool
    ) -> None:
        """Look up the topics' UUIDs. `snapshots`: whether they are taken, and read."""
        self._state = state
        self._window_ms = dedupe_window_s * 1_000
        names = [(lane.topics.events, lane.topics.outcomes, lane.topics.snapshots) for lane in lanes]
        self._topic_ids = topic_ids(kafka, [topic for each in names for topic in each])
        self._written_s = time.monotonic()
        _LOG.info(
            "in memory at most %d aggregates and %d outcomes a partition, the rest in %s",
            2 * GENERATION_MAX, 2 * GENERATION_MAX, state,
        )  # fmt: skip

        self.codecs = {
            lane.topics.commands: SnapshotCodec(lane.aggregate, lane.fingerprint, self._topic_ids[lane.topics.events])
            for lane in lanes
            if snapshots
        }

    def open(self, lane: Lane, partition: int) -> PartitionMemory:
        """Return the memory of a partition, as far as the local state has it."""
        stamp = {
            "fingerprint": lane.fingerprint,
            "events": self._topic_ids[lane.topics.events],
            "outcomes": self._topic_ids[lane.topics.outcomes],
        }
        path = self._state / f"{lane.topics.commands}-{partition}"
        noted_for = self._topic_ids[lane.topics.snapshots] if lane.topics.commands in self.codecs else None
        return PartitionMemory(LocalState(path, stamp, noted_for), self._window_ms)

    def write(self, memories: Iterable[PartitionMemory]) -> None:
        """Write those that are full, and all of them every five seconds, so that what changes often is written once."""
        now_s = time.monotonic()
        due = now_s - self._written_s > WRITE_INTERVAL_S
        for memory in memories:
            if due or memory.is_full:
                memory.write()
        if due:
            self._written_s = now_s
