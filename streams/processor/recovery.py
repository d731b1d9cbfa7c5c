"""Recovery: a new owner reads what was committed before it decides anything.

For each partition, in this order: the committed offset (read_committed, so that it waits for an open transaction), then
the high watermarks of the events and outcomes partitions (read uncommitted: the transaction's markers are written
independently, so the last stable offset may still be behind), then every committed record until the end is at or past
those marks.

Promises: a recovered partition knows every event and outcome that any earlier owner committed; the work is done in
slices, so that the caller keeps polling its group meanwhile.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.errors import DecodingError
from schemas.outcomes import Status
from schemas.position import Place
from streams.kafka.config import Kafka
from streams.kernel.errors import LogBroken
from streams.kernel.remembering import remember
from streams.processor.lane import Lane
from streams.processor.memory import PartitionMemory

_LOG = logging.getLogger("kafold.processor")
SLICE_RECORDS = 5_000
SLICE_S = 0.2


@dataclass(slots=True)
class Recovering:
    """A partition on its way: what it knows so far, and which log partitions must still be read up to which mark."""

    lane: Lane
    partition: int
    memory: PartitionMemory
    next_offset: int | None = None
    marks: dict[Place, int] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """The commands partition."""
        return self.lane.topics.commands, self.partition

    @property
    def logs(self) -> tuple[Place, Place]:
        """The partitions to read."""
        return (self.lane.topics.events, self.partition), (self.lane.topics.outcomes, self.partition)


class Recovery:
    """Recovers partitions, several at a time."""

    def __init__(self, kafka: Kafka, group: Consumer) -> None:
        """Take the cluster, and the group's consumer, whose committed offsets are read."""
        self._group = group
        self._reader = Consumer(kafka.consumer(group_id="kafold-recovery", enable_partition_eof=True))
        self._marks = Consumer(kafka.consumer(group_id="kafold-recovery", isolation_level="read_uncommitted"))
        self._waiting: dict[Place, Recovering] = {}
        self._by_log: dict[Place, Recovering] = {}

    def __len__(self) -> int:
        """Return how many partitions are on their way."""
        return len(self._waiting)

    def start(self, lane: Lane, partition: int, memory: PartitionMemory) -> None:
        """Begin with a partition, from the position that its memory has."""
        recovering = Recovering(lane, partition, memory)
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
        ends = {log: self._marks.get_watermark_offsets(TopicPartition(*log), timeout=10.0) for log in recovering.logs}
        position = recovering.memory.position
        if any(position.get(log, 0) > high for log, (_, high) in ends.items()):
            _LOG.warning("%s[%d]: the local state is ahead of the log and is rebuilt", *recovering.place)
            recovering.memory.forget()
            position = recovering.memory.position
        for log, (low, high) in ends.items():
            if high > max(low, position.get(log, 0)):
                recovering.marks[log] = high
                self._by_log[log] = recovering
        recovering.next_offset = committed
        if recovering.marks:
            self._reader.incremental_assign([TopicPartition(*log, position.get(log, 0)) for log in recovering.marks])

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
                learn(recovering, message)
                recovering.memory.position[log] = message.offset() + 1
                if recovering.memory.is_full:
                    recovering.memory.write()
            elif message.offset() >= recovering.marks[log]:
                del recovering.marks[log]
                self._unassign([log])

    def _unassign(self, logs: list[Place]) -> None:
        for log in logs:
            self._by_log.pop(log, None)
        if logs:
            self._reader.incremental_unassign([TopicPartition(*log) for log in logs])


def learn(recovering: Recovering, record: Message) -> None:
    """Take one committed record of the log over into the partition's memory."""
    lane, memory = recovering.lane, recovering.memory
    if record.topic() == lane.topics.events:
        aggregate_id = _text(record.key())
        memory.learn(
            aggregate_id, remember(lane.aggregate, lane.events, memory.known(aggregate_id), record.value() or b"")
        )
        return
    try:
        outcome = lane.outcomes.decode(record.value() or b"")
    except DecodingError as error:
        raise LogBroken(f"{record.topic()} {record.partition()}@{record.offset()} is no outcome: {error}") from error
    if outcome.status != Status.FAILED:
        memory.learn_outcome(outcome.command_id, outcome.time_ms, record.value())


def _text(key: Any) -> str:
    return (key or b"").decode(errors="replace")
