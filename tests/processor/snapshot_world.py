"""A world for tests of snapshots: accounts, processors that take snapshots often, and what the whole log says."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kafka.topics import create_topics, delete_topics, rebuilt_topics, topic_ids
from streams.kernel.application import Application
from streams.kernel.fingerprint import fingerprint
from streams.kernel.processing import Known
from streams.kernel.remembering import remember
from streams.kernel.sameness import same
from streams.kernel.snapshots import MARKER_KEY, Marker, SnapshotCodec
from streams.processor.processor import CommandProcessor
from streams.processor.snapshotting import Snapshotting
from tests.faults.judge import Judge
from tests.faults.processor_child import SNAPSHOT_EVENTS
from tests.fixtures.shop import PARTITIONS, running
from tests.log import read_committed
from tests.waiting import wait_until

EVERY = SNAPSHOT_EVENTS
Records = dict[bytes, bytes | None]


class World(NamedTuple):
    """The accounts of one application, and how they are looked at."""

    application: Application
    cluster: Kafka
    ids: TopicRegistry
    judge: Judge
    folder: Path

    @property
    def events(self) -> str:
        return f"{self.application.name}.account.events"

    @property
    def snapshots(self) -> str:
        return f"{self.application.name}.account.snapshots"

    @property
    def codec(self) -> SnapshotCodec:
        account = self.application.aggregate("account")
        topic_id = topic_ids(self.cluster, [self.events])[self.events]
        return SnapshotCodec(account, fingerprint(account, self.application.evolution), topic_id)

    def processor(self, slot: int = 0, application: Application | None = None) -> CommandProcessor:
        return CommandProcessor(
            application or self.application, self.cluster, self.ids, PARTITIONS, self.folder / str(slot),
            slot=slot, snapshot_events=EVERY,
        )  # fmt: skip

    def snapshotted(self, seed: int, count: int = 1_200) -> CommandProcessor:
        """Process a load until every partition's tail is short; return the processor, closed."""
        with running(self.processor()) as processor:
            self.judge.send(seed, count)
            wait_until(lambda: self.judge.all_answered() and not over(processor), "snapshots are taken", 60)
        return processor

    def cold(self, application: Application | None = None) -> CommandProcessor:
        """Return a processor that had no local state, and has recovered."""
        shutil.rmtree(self.folder / "0", ignore_errors=True)
        processor = self.processor(0, application)
        wait_until(lambda: processor.turn() >= 0 and len(processor.owned) == 2 * PARTITIONS, "all is recovered", 60)
        return processor

    def folded(self) -> dict[tuple[int, str], Known]:
        """Return what the whole log says of each account, by partition and id."""
        aggregate = self.application.aggregate("account")
        codec = self.application.event_codec(aggregate, self.ids)
        found: dict[tuple[int, str], Known] = {}
        for record in read_committed(self.cluster, self.events):
            place = int(record.partition() or 0), (record.key() or b"").decode()
            found[place] = remember(aggregate, codec, found.get(place), record.value() or b"")
        return found

    def latest(self) -> dict[int, Records]:
        """Return the snapshots and the marker of each partition, as compaction would leave them."""
        found: dict[int, Records] = defaultdict(dict)
        for record in read_committed(self.cluster, self.snapshots):
            records = found[int(record.partition() or 0)]
            records.pop(record.key() or b"", None)
            records[record.key() or b""] = record.value()
        return found

    def places(self) -> set[tuple[int, int]]:
        """Return the partition and offset of every record of the snapshots topic."""
        records = read_committed(self.cluster, self.snapshots)
        return {(int(each.partition() or 0), int(each.offset() or 0)) for each in records}

    def markers(self) -> dict[int, Marker]:
        codec, latest = self.codec, self.latest()
        found = {partition: codec.decode_marker(each.get(MARKER_KEY) or b"") for partition, each in latest.items()}
        return {partition: marker for partition, marker in found.items() if marker is not None}

    def rewrite(self, partitions: Mapping[int, Records]) -> None:
        """Replace the snapshots topic by one with these records."""
        delete_topics(self.cluster, [self.snapshots])
        create_topics(self.cluster, {self.snapshots: rebuilt_topics(self.application)[self.snapshots]}, PARTITIONS, 1)
        producer = Producer(self.cluster.producer())
        for partition, records in partitions.items():
            for key, value in records.items():
                producer.produce(self.snapshots, value, key, partition)
        assert producer.flush(30) == 0


def over(processor: CommandProcessor) -> list[int]:
    """Return the partitions of accounts whose tails are long enough for a run."""
    return [
        partition
        for (topic, partition), owned in list(processor._owned.items())
        if topic.endswith("account.commands") and Snapshotting._tail(owned) >= EVERY
    ]


def take_snapshots(processor: CommandProcessor) -> None:
    """Turn a processor until every partition's tail is short, then close it."""
    wait_until(lambda: processor.turn() >= 0 and not over(processor), "snapshots are taken", 60)
    processor.close()


def assert_knows(processor: CommandProcessor, world: World) -> None:
    """The processor knows of every account what the log says, and counts the events."""
    folded, counted = world.folded(), Counter[int]()
    for (partition, aggregate_id), known in folded.items():
        owned = processor._owned[f"{world.application.name}.account.commands", partition]
        found = owned.memory.known(aggregate_id)
        assert found is not None
        assert found == known
        assert same(found.state, known.state)
        counted[partition] += known.version
    for partition, count in counted.items():
        assert processor._owned[f"{world.application.name}.account.commands", partition].memory.events == count
