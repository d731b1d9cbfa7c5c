"""The command processor: owns partitions of the commands topics, decides, and commits.

Theory of operation. One consumer in the application's group takes whatever commands are there (1 to 5,000: group
commit adapts by itself), a batch decides them, and one transaction commits events, outcomes and consumed offsets. The
group metadata of the transaction is captured when the batch is taken, before anything is decided: a zombie that
rejoined would otherwise commit an old batch. Nothing polls the group between taking and committing, so no rebalance
can fall in between unseen. A newly assigned partition stays paused until it is recovered.

Promises: a command's events, its outcome and the progress are visible together or not at all; two processors never both
commit for one partition; what is known changes only after a commit.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.position import Place
from schemas.registry import SchemaIds
from streams.garbage import collected_by_hand
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.kernel.errors import Fenced, Indefinite, TransactionAborted
from streams.kernel.processing import DEDUPE_WINDOW_S
from streams.processor.batch import Batch, Owned, chunks
from streams.processor.lane import lanes
from streams.processor.memories import Memories
from streams.processor.recovery import Recovery
from streams.processor.snapshotting import SNAPSHOT_EVENTS, Snapshotting
from streams.processor.transactions import Transactions
from streams.processor.watched import Watched

_LOG = logging.getLogger("kafold.processor")
BATCH_COMMANDS_MAX = 5_000
DECIDING_S = 1.0  # however slow the application's rules are: the coordinator aborts what takes longer than 5 s
IDLE_S = 0.1
SESSION_TIMEOUT_MS = 6_000


def group_of(application: Application) -> str:
    """Return the consumer group of an application's command processors."""
    return f"{application.name}.processor"


class CommandProcessor:
    """One processor of an application."""

    def __init__(
        self,
        application: Application,
        kafka: Kafka,
        ids: SchemaIds,
        partitions: int,
        state: Path,
        *,
        slot: int = 0,
        dedupe_window_s: int = DEDUPE_WINDOW_S,
        snapshot_events: int = SNAPSHOT_EVENTS,
        watched: Watched | None = None,
    ) -> None:
        """Join the group; commands are processed by `turn` or `run`.

        Args:
            application: whose commands.
            kafka: where.
            ids: the registry.
            partitions: how many each topic has.
            state: the folder of this slot's local state; what is missing in it is read from the log.
            slot: its number among the application's processors; two of the same slot fence each other.
            dedupe_window_s: for how long a command id has one effect and one answer, in seconds.
            snapshot_events: how many events follow a partition's snapshots before these are renewed; 0: there are none.
            watched: is told what goes on.
        """
        self._application = application
        self._kafka = kafka
        self._transactional_id = f"{group_of(application)}.{slot}"
        self._lanes = {lane.topics.commands: lane for lane in lanes(application, ids, partitions)}
        self._memories = Memories(
            kafka, list(self._lanes.values()), state, dedupe_window_s, snapshots=snapshot_events > 0
        )
        self._owned: dict[Place, Owned] = {}
        self._transactions = Transactions(kafka, self._transactional_id)
        self._consumer = Consumer(
            kafka.consumer(
                group_id=group_of(application),
                # A static member: a processor that comes back in its slot goes on at once, and a second one fences it.
                group_instance_id=self._transactional_id,
                partition_assignment_strategy="cooperative-sticky",
                session_timeout_ms=SESSION_TIMEOUT_MS,
                heartbeat_interval_ms=1_000,
                fetch_queue_backoff_ms=10,
            )
        )
        self._recovery = Recovery(kafka, self._consumer, dedupe_window_s)
        self._watched = watched or Watched()
        self._snapshotting = Snapshotting(self._memories.codecs, snapshot_events, self._watched.snapshots)
        self._watched.watch(
            self._consumer,
            self._positions,
            lambda: len(self._recovery),
            lambda: self._transactions.overdue_s(),
        )
        self._consumer.subscribe(
            list(self._lanes), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    @property
    def owned(self) -> frozenset[Place]:
        """The commands partitions that it owns and has recovered."""
        return frozenset(self._owned)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Process commands until `stopped` says so, then leave the group."""
        with collected_by_hand() as garbage:
            try:
                while not stopped():
                    garbage.maybe_collect(idle=self.turn() == 0)
            finally:
                self.close()

    def turn(self) -> int:
        """Process what is there; return how many commands that was. Blocks for at most 0.1 s when there is nothing."""
        records = self._take(0.0 if self._recovery else IDLE_S)
        count = self._process(records) if records else 0
        if self._recovery:
            self._recover()
        self._memories.write(owned.memory for owned in self._owned.values())
        if self._snapshotting.is_due(self._owned, idle=count == 0):
            self._snapshot()
        self._watched.turned()
        return count

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()  # revokes what it has
        self._recovery.close()

    def _take(self, timeout_s: float) -> list[Message]:
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        records = [first, *self._consumer.consume(BATCH_COMMANDS_MAX - 1, 0)]
        for record in records:
            if record.error() is not None:
                _raise_if_lasting(record.error())
        return [record for record in records if record.error() is None]

    def _process(self, records: list[Message]) -> int:
        group = self._consumer.consumer_group_metadata()
        now_ms = time.time_ns() // 1_000_000
        batch = Batch(self._application.dead_letters, now_ms)
        for owned in self._owned.values():
            owned.memory.advance(now_ms)
        began_s = time.perf_counter()
        try:
            count = self._commit(batch, records, group)
        except (TransactionAborted, Indefinite) as error:
            self._undone(error)
            return 0
        if count:
            self._watched.committed(records, count, time.perf_counter() - began_s, batch.parts)
        return count

    def _commit(self, batch: Batch, records: list[Message], group: Any) -> int:
        """Decide what is owned and commit it; return how many commands that was."""
        count, ends_s = 0, time.monotonic() + DECIDING_S
        for chunk in chunks(records):
            decided = batch.decide(chunk, self._owned)
            if decided and not count:
                self._transactions.begin()
            count += decided
            if count:
                batch.send(self._transactions)
            if time.monotonic() > ends_s:
                break
        if count:
            # While the last events are on their way.
            self._transactions.send_offsets(batch.consumed(), group)
            batch.finish(self._transactions)
            self._transactions.commit()
            batch.committed()
        if chunk[-1] is not records[-1]:
            self._rewind()  # what was not decided is taken again
        return count

    def _snapshot(self) -> None:
        group = self._consumer.consumer_group_metadata()
        try:
            self._snapshotting.write(self._transactions, group)
        except (TransactionAborted, Indefinite) as error:
            self._undone(error)

    def _undone(self, error: TransactionAborted | Indefinite) -> None:
        if isinstance(error, Indefinite):
            self._watched.undone("indefinite")
            _LOG.warning("a transaction's end is unknown, the log is read again: %s", error)
            self._start_over()
        else:
            self._watched.undone("aborted")
            _LOG.warning("a transaction was aborted, its commands are decided again: %s", error)
            self._rewind()

    def _positions(self) -> dict[Place, int]:
        return {place: owned.next_offset for place, owned in list(self._owned.items())}

    def _rewind(self) -> None:
        for place, owned in self._owned.items():
            self._seek(place, owned.next_offset)

    def _start_over(self) -> None:
        """Forget everything; a new producer ends the old one's transaction, whichever way, before the log is read."""
        self._transactions = Transactions(self._kafka, self._transactional_id)
        owned, self._owned = self._owned, {}
        self._consumer.pause([TopicPartition(*place) for place in owned])
        for place, each in owned.items():
            each.memory.close()
            self._start_recovery(place)

    def _recover(self) -> None:
        for recovered in self._recovery.step():
            place = recovered.place
            next_offset = recovered.next_offset or 0
            self._owned[place] = Owned(recovered.lane, recovered.partition, recovered.memory, next_offset)
            self._seek(place, next_offset)
            self._consumer.resume([TopicPartition(*place)])
            _LOG.info("%s[%d] is owned, from offset %d", *place, next_offset)

    def _seek(self, place: Place, offset: int) -> None:
        self._consumer.seek(TopicPartition(*place, offset))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)
        self._watched.joined()
        for partition in partitions:
            self._start_recovery((partition.topic, partition.partition))

    def _start_recovery(self, place: Place) -> None:
        topic, partition = place
        lane = self._lanes[topic]
        memory = self._memories.open(lane, partition)
        self._recovery.start(lane, partition, memory, self._memories.codecs.get(topic))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._transactions.forget_ends()  # the next owner writes there
        for partition in partitions:
            place = partition.topic, partition.partition
            owned = self._owned.pop(place, None)
            if owned is not None:
                owned.memory.close()
            self._recovery.forget(place)
        consumer.incremental_unassign(partitions)


def _raise_if_lasting(error: KafkaError) -> None:
    """Raise what will not pass by itself; librdkafka retries the rest."""
    if error.fatal() or error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):
        raise Fenced(f"another processor has this slot: {error.str()}")
    if error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART):
        raise KafkaException(error)
    _LOG.warning("%s", error.str())
