"""Recovery: a new owner reads what was committed before it decides anything.

For each partition, in this order: the committed offset (read_committed, so that it waits for an open transaction), then
the high watermarks of the events, outcomes and snapshots partitions (read uncommitted: the transaction's markers are
written independently, so the last stable offset may still be behind), then every committed record until the end is at
or past those marks.

Where there is no local state, the snapshots are read first, the events from their marker on, and the outcomes of the
dedupe window. If the snapshots do not add up, all of it is forgotten and every event read. A local state that the log
contradicts is forgotten in the same way.

Promises: a recovered partition knows every event and, of the window, every outcome that any earlier owner committed;
the work is done in slices, so that the caller keeps polling its group meanwhile.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.errors import DecodingError
from schemas.outcomes import Status
from schemas.position import Place
from streams.kafka.config import Kafka
from streams.kernel.errors import LogBroken
from streams.kernel.processing import Known
from streams.kernel.remembering import remember
from streams.kernel.snapshots import SnapshotCodec
from streams.processor.from_snapshots import FromSnapshots
from streams.processor.lane import Lane
from streams.processor.memory import PartitionMemory

_LOG = logging.getLogger("kafold.processor")
SLICE_RECORDS = 5_000
SLICE_S = 0.2
# Outcomes are found by their records' times, which are the broker's clock's if the topic says so.
CLOCKS_MS = 3_600_000


class Stage(Enum):
    """What is read."""

    LOCAL = auto()  # the log, after the local state
    SNAPSHOTS = auto()
    TAIL = auto()  # the log, after the snapshots
    LOG = auto()  # all of it


@dataclass(slots=True)
class Recovering:
    """A partition on its way: what it knows so far, and which log partitions must still be read up to which mark.

    `ends`: of every partition, its first offset and its high watermark. `codec`: None: snapshots are not looked at.
    `contradicted`: whether the log cannot follow upon what is known of what came before.
    """

    lane: Lane
    partition: int
    memory: PartitionMemory
    codec: SnapshotCodec | None
    next_offset: int | None = None
    ends: dict[Place, tuple[int, int]] = field(default_factory=dict)
    marks: dict[Place, int] = field(default_factory=dict)
    stage: Stage = Stage.LOG
    snapshots: FromSnapshots | None = None
    contradicted: bool = False

    @property
    def place(self) -> Place:
        """The commands partition."""
        return self.lane.topics.commands, self.partition

    @property
    def events(self) -> Place:
        """The partition of its events."""
        return self.lane.topics.events, self.partition

    @property
    def outcomes(self) -> Place:
        """The partition of its outcomes."""
        return self.lane.topics.outcomes, self.partition

    @property
    def snapshots_place(self) -> Place:
        """The partition of its snapshots."""
        return self.lane.topics.snapshots, self.partition

    @property
    def places(self) -> Sequence[Place]:
        """All of them."""
        return self.events, self.outcomes, *([] if self.codec is None else [self.snapshots_place])


class Recovery:
    """Recovers partitions, several at a time."""

    def __init__(self, kafka: Kafka, group: Consumer, dedupe_window_s: int) -> None:
        """Take the cluster, and the group's consumer, whose committed offsets are read."""
        self._group = group
        self._window_ms = dedupe_window_s * 1_000
        self._reader = Consumer(kafka.consumer(group_id="kafold-recovery", enable_partition_eof=True))
        self._marks = Consumer(kafka.consumer(group_id="kafold-recovery", isolation_level="read_uncommitted"))
        self._waiting: dict[Place, Recovering] = {}
        self._by_log: dict[Place, Recovering] = {}

    def __len__(self) -> int:
        """Return how many partitions are on their way."""
        return len(self._waiting)

    def start(self, lane: Lane, partition: int, memory: PartitionMemory, codec: SnapshotCodec | None) -> None:
        """Begin with a partition, from the position that its memory has, or from snapshots that the codec can read."""
        recovering = Recovering(lane, partition, memory, codec)
        self._waiting[recovering.place] = recovering

    def forget(self, place: Place) -> None:
        """Stop with a partition that is no longer owned."""
        recovering = self._waiting.pop(place, None)
        if recovering is not None:
            self._unassign(list(recovering.marks))
            recovering.memory.close()

    def step(self) -> Iterator[Recovering]:
        """Do a slice of the work, and yield the partitions that are recovered."""
        for recovering in list(self._waiting.values()):
            if recovering.next_offset is None:
                self._open(recovering)
        if self._by_log:
            self._read()
        for recovering in [each for each in self._waiting.values() if each.next_offset is not None and not each.marks]:
            if self._is_done(recovering):
                del self._waiting[recovering.place]
                yield recovering

    def close(self) -> None:
        """Leave the cluster."""
        for place in list(self._waiting):
            self.forget(place)
        self._reader.close()
        self._marks.close()

    def _open(self, recovering: Recovering) -> None:
        committed = self._committed(recovering.place)
        if committed is None:
            return
        recovering.ends = {
            place: self._marks.get_watermark_offsets(TopicPartition(*place), timeout=10.0)
            for place in recovering.places
        }
        position = recovering.memory.position
        if any(position.get(place, 0) > high for place, (_, high) in recovering.ends.items()):
            _LOG.warning("%s[%d]: the local state is ahead of the log and is rebuilt", *recovering.place)
            recovering.memory.forget()
        recovering.next_offset = committed
        if recovering.events in recovering.memory.position:
            self._read_log(recovering, Stage.LOCAL)
        else:
            self._begin(recovering)

    def _begin(self, recovering: Recovering) -> None:
        """Begin with nothing known."""
        if recovering.codec is not None:
            recovering.stage = Stage.SNAPSHOTS
            recovering.snapshots = FromSnapshots(recovering.codec, recovering.memory)
            self._assign(recovering, {recovering.snapshots_place: 0})
        if not recovering.marks:
            self._read_log(recovering, Stage.LOG)

    def _is_done(self, recovering: Recovering) -> bool:
        """Whether what was read is all; if not, begin with the next stage."""
        snapshots, events = recovering.snapshots, recovering.events
        contradicted, recovering.contradicted = recovering.contradicted, False
        if recovering.stage is Stage.LOCAL and contradicted:
            recovering.memory.forget()
            self._begin(recovering)
            return False
        if recovering.stage in (Stage.LOCAL, Stage.LOG) or snapshots is None:
            return True
        if recovering.stage is Stage.SNAPSHOTS and snapshots.begin_at(events, recovering.ends[events][1]):
            self._read_log(recovering, Stage.TAIL)
            return False
        if recovering.stage is Stage.TAIL and not contradicted and snapshots.adds_up():
            recovering.memory.adds_up()
            return True
        _LOG.warning("%s[%d]: its snapshots cannot be relied on, every event is read", *recovering.place)
        recovering.memory.forget()
        self._read_log(recovering, Stage.LOG)
        return False

    def _read_log(self, recovering: Recovering, stage: Stage) -> None:
        recovering.stage = stage
        position, outcomes = recovering.memory.position, recovering.outcomes
        position.setdefault(recovering.events, 0)
        if outcomes not in position:
            position[outcomes] = self._window_start(outcomes, recovering.ends[outcomes][1])
        self._assign(recovering, {place: position[place] for place in (recovering.events, outcomes)})

    def _window_start(self, outcomes: Place, end: int) -> int:
        """Return the offset before which every outcome is older than the window."""
        since_ms = time.time_ns() // 1_000_000 - self._window_ms - CLOCKS_MS
        # Asked read uncommitted: what is committed, and not yet known to be so, counts.
        [found] = self._marks.offsets_for_times([TopicPartition(*outcomes, max(since_ms, 0))], timeout=10.0)
        if found.error:
            raise KafkaException(found.error)
        return end if found.offset < 0 else min(int(found.offset), end)

    def _assign(self, recovering: Recovering, begins: dict[Place, int]) -> None:
        """Have partitions read up to their marks; those that have nothing are left out."""
        for place in begins:
            low, high = recovering.ends[place]
            if high > max(low, begins[place]):
                recovering.marks[place] = high
                self._by_log[place] = recovering
        if recovering.marks:
            self._reader.incremental_assign([TopicPartition(*place, begins[place]) for place in recovering.marks])

    def _committed(self, place: Place) -> int | None:
        """Return the committed offset; None: a transaction is still open on it, ask again."""
        try:
            [found] = self._group.committed([TopicPartition(*place)], timeout=SLICE_S * 5)
        except KafkaException as error:
            if error.args[0].code() in (KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT):
                return None
            raise
        if found.error:
            raise KafkaException(found.error)
        return max(int(found.offset), 0)

    def _read(self) -> None:
        for message in self._reader.consume(SLICE_RECORDS, SLICE_S):
            log = message.topic(), message.partition()
            recovering = self._by_log.get(log)
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if recovering is None:
                continue
            if error is None:
                self._learn(recovering, message, log)
            elif message.offset() >= recovering.marks[log]:
                del recovering.marks[log]
                self._unassign([log])

    def _learn(self, recovering: Recovering, message: Message, log: Place) -> None:
        try:
            learn(recovering, message)
        except LogBroken as error:
            if recovering.stage is Stage.LOG:
                raise
            # The log, or what is believed to come before it: the log alone will tell.
            _LOG.warning("%s[%d]: the local state or the snapshots are forgotten: %s", *recovering.place, error)
            recovering.contradicted = True
            self._unassign(list(recovering.marks))
            recovering.marks.clear()
            return
        if recovering.stage is not Stage.SNAPSHOTS:
            recovering.memory.position[log] = message.offset() + 1
            if recovering.memory.is_full:
                recovering.memory.write()

    def _unassign(self, logs: list[Place]) -> None:
        for log in logs:
            self._by_log.pop(log, None)
        if logs:
            self._reader.incremental_unassign([TopicPartition(*log) for log in logs])


def learn(recovering: Recovering, record: Message) -> None:
    """Take one committed record of the log over into the partition's memory."""
    lane, memory = recovering.lane, recovering.memory
    if recovering.snapshots is not None and recovering.stage is Stage.SNAPSHOTS:
        recovering.snapshots.take(record)
        return
    if record.topic() == lane.topics.events:
        aggregate_id, data = _text(record.key()), record.value() or b""
        known = memory.known(aggregate_id)
        if known is None or not _is_in_a_snapshot(recovering, int(record.offset() or 0), data, known):
            known = remember(lane.aggregate, lane.events, known, data)
        memory.learn(aggregate_id, known)
        return
    try:
        outcome = lane.outcomes.decode(record.value() or b"")
    except DecodingError as error:
        raise LogBroken(f"{record.topic()} {record.partition()}@{record.offset()} is no outcome: {error}") from error
    if outcome.status != Status.FAILED:
        memory.learn_outcome(outcome.command_id, outcome.time_ms, record.value())


def _is_in_a_snapshot(recovering: Recovering, offset: int, data: bytes, known: Known) -> bool:
    """Whether an event is part of a snapshot that is newer than the marker."""
    snapshots = recovering.snapshots
    if recovering.stage is not Stage.TAIL or snapshots is None or offset >= snapshots.last:
        return False
    try:
        version = recovering.lane.events.decode_metadata(data).version
    except DecodingError as error:
        raise LogBroken(f"which version an event has cannot be read: {error}") from error
    return snapshots.has(version, known)


def _text(key: Any) -> str:
    return (key or b"").decode(errors="replace")
