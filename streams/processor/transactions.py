"""Transactions: events, outcomes and consumed offsets that become visible together or not at all.

Promises: whatever goes wrong ends as one of three errors that say what to do: Fenced (exit), TransactionAborted
(nothing of it happened: rewind), Indefinite (nobody knows: read the log again). A producer that left an end of a
transaction without an answer is not used again (see `coordinator_watch`): that too is Indefinite. Offsets that it told
before the records were delivered are compared with the delivery reports, and nothing is committed with a wrong one.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from streams.kafka.config import Kafka
from streams.kernel.errors import Fenced, Indefinite, TransactionAborted
from streams.processor.coordinator_watch import CONTEXT, CoordinatorWatch
from streams.processor.ends import Ends
from streams.processor.run import Delivered, Run

_LOG = logging.getLogger("kafold.librdkafka")
TRANSACTION_TIMEOUT_MS = 5_000
CALL_TIMEOUT_S = 10.0
_FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.FENCED_INSTANCE_ID,
    }
)

Headers = list[tuple[str, bytes | None]]
Record = tuple[bytes | None, bytes | None]


class Transactions:
    """One transactional producer. `transactional_id` is stable per slot, so that a successor fences this one."""

    def __init__(self, kafka: Kafka, transactional_id: str) -> None:
        """Make the producer; it ends (aborts) whatever its predecessor has left open."""
        self._failures: list[KafkaError] = []
        self._is_alone = True  # as far as can be seen, nobody else writes where `produce` has to tell offsets
        self._ends = Ends()
        self._telling_since: float | None = None
        self._watch = CoordinatorWatch(_LOG)
        settings = kafka.producer(
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=0,
            queue_buffering_max_messages=1_000_000,
            debug=CONTEXT,
            logger=self._watch,
        )
        self._producer = Producer(settings)
        _call(lambda: self._producer.init_transactions(CALL_TIMEOUT_S))

    def begin(self) -> None:
        """Open a transaction.

        Raises:
            Indefinite: an end of an earlier transaction may still be under way, and would end this one.
        """
        self._producer.poll(0)  # the log comes with the delivery reports
        if self._watch.disturbance is not None:
            raise Indefinite(f"an earlier end of a transaction may still be under way: {self._watch.disturbance}")
        self._failures.clear()
        _call(self._producer.begin_transaction)

    def produce(
        self,
        topic: str,
        partition: int,
        records: Sequence[Record],
        headers: Headers | None = None,
        *,
        early: bool = False,
    ) -> Run:
        """Put records (at least one) of one partition into the open transaction; undelivered ones fail its commit.

        What the returned run says is known after `flush`, and often, by `poll`, before. `early`: its offsets are wanted
        at once; it has them where the partition's end is known, and `commit` makes sure of them.
        """
        place = topic, partition
        begin = self._ends.of(place) if early and self._is_alone else None
        run = Run(len(records), self._failures, each=not self._is_alone, begin=begin)
        if early:
            self._ends.add(place, run)
        headers = headers or []
        if not self._is_alone or run.count <= 2:
            self._put(topic, partition, records, run.delivered, headers)
        else:
            self._put(topic, partition, records[:1], run.delivered, headers)
            self._put(topic, partition, records[1:-1], None, headers)
            self._put(topic, partition, records[-1:], run.delivered, headers)
        return run

    def poll(self) -> None:
        """Take the reports that are there."""
        self._producer.poll(0)

    def offsets_of(self, run: Run) -> Sequence[int]:
        """Return the offsets of a run that has them.

        Raises:
            TransactionAborted: somebody else writes into the topic. From now on every record is reported.
        """
        offsets = run.offsets()
        if offsets is None:
            self._refuse_company()
        return offsets

    def flush(self) -> None:
        """Wait until everything so far is delivered, so that offsets are known.

        Raises:
            TransactionAborted: something was refused, or somebody else writes into the topic.
            Indefinite: something was not delivered in time.
        """
        self._check_deliveries(self._producer.flush(CALL_TIMEOUT_S))
        if self._failures:
            self.abort()
            raise TransactionAborted(str(self._failures[0]))
        if not self._ends.are_as_expected():
            self._refuse_company()

    def send_offsets(self, consumed: Mapping[tuple[str, int], int], group: Any) -> None:
        """Put the consumed offsets into the transaction, on behalf of the group member in `group`.

        It takes two round trips, which records that were produced before have for their delivery. Where the group's
        coordinator has gone it may never return (librdkafka's issue 5456): see `overdue_s`.
        """
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in consumed.items()]
        self._or_abort(lambda: self._tell(offsets, group))

    def _tell(self, offsets: list[TopicPartition], group: Any) -> None:
        # This call alone: an abort after it has a timeout of its own.
        self._telling_since = time.monotonic()
        try:
            self._producer.send_offsets_to_transaction(offsets, group, CALL_TIMEOUT_S)
        finally:
            self._telling_since = None

    def overdue_s(self) -> float:
        """Return by how much a call has outlasted its timeout. Ask from another thread."""
        since = self._telling_since
        return 0.0 if since is None else max(0.0, time.monotonic() - since - CALL_TIMEOUT_S)

    def commit(self) -> None:
        """Commit the records together with the consumed offsets.

        Raises:
            TransactionAborted, Indefinite: as `flush` does, or the commit itself was refused, or not answered.
        """
        if self._ends.are_to_be_compared():
            self.flush()
        self._or_abort(lambda: self._producer.commit_transaction(CALL_TIMEOUT_S))
        self._ends.committed()

    def abort(self) -> None:
        """Give the open transaction up."""
        self._ends.forget()
        _call(lambda: self._producer.abort_transaction(CALL_TIMEOUT_S))

    def forget_ends(self) -> None:
        """Expect nothing of where partitions end, because some have another owner."""
        self._ends.forget()

    def _refuse_company(self) -> NoReturn:
        self._is_alone = False
        self.abort()
        raise TransactionAborted("somebody else writes into the topic: from now on each record is reported")

    def _put(
        self,
        topic: str,
        partition: int,
        records: Iterable[Record],
        delivered: Delivered | None,
        headers: Headers,
    ) -> None:
        produce = self._producer.produce
        # An empty list of headers costs as much as the rest of the call: 0.4 µs.
        more = {"headers": headers} if headers else {}
        for key, value in records:
            while True:
                try:
                    produce(topic, value, key, partition, delivered, **more)
                    break
                except BufferError:
                    self._producer.poll(0.1)  # the queue is full: deliveries make room
                except KafkaException as error:
                    raise _sorted(error.args[0]) from error

    def _or_abort(self, call: Callable[[], None]) -> None:
        try:
            _call(call)
        except TransactionAborted:
            self.poll()
            self._check_deliveries()
            self.abort()
            raise

    def _check_deliveries(self, left: int = 0) -> None:
        """Raise what asks for a new producer (see `_sorted`), whichever call has noticed it first."""
        if left or any(each.code() == KafkaError._MSG_TIMED_OUT for each in self._failures):
            raise Indefinite("records were not delivered in time")


def _call(call: Callable[[], Any]) -> None:
    try:
        call()
    except KafkaException as error:
        raise _sorted(error.args[0]) from error


def _sorted(error: KafkaError) -> Exception:
    """Return the platform's error for librdkafka's: fenced, to be aborted, or unknown.

    What was not delivered in time asks for a new producer, though an abort would do for the transaction: librdkafka
    never finds a leader again once it was told, while it produced, that a partition has none (its issue 5430).

    That an error is fatal says that this producer is of no use any more, not that there is another one: with
    INVALID_TXN_STATE, for example, a late EndTxn has ended the transaction, and how it ended is in the log.
    """
    if error.code() in _FENCED:
        return Fenced(f"another processor has this slot: {error.str()}")
    if error.code() == KafkaError._MSG_TIMED_OUT:
        return Indefinite(error.str())
    if error.txn_requires_abort():
        return TransactionAborted(error.str())
    return Indefinite(error.str())
