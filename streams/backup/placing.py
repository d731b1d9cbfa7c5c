"""Placing: writing records into an empty partition so that each gets the offset that it is to have.

Most follow each other without a gap. Where a gap has to be, it is made of what makes gaps: one offset is the marker of
a committed transaction, more are an aborted one's records and its marker. Before the first record, fillers are written
and deleted again, so that the partition begins where the original did.

Promises: a record that gets another offset is an error, so that nothing is ever put in a wrong place unseen; who reads
committed records sees the given ones and no others.
"""

import time
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.closing import Closing
from schemas.position import Place
from streams.backup.errors import RestoreFailed
from streams.backup.records import Stored
from streams.kafka.config import Kafka

TIMEOUT_S = 60.0
PAUSE_S = 0.002
FILLER = b"kafold: fills a gap"
FILLERS = 10_000  # at a time


def producer_of(kafka: Kafka) -> Producer:
    """Return a producer for placers, one after the other."""
    return Producer(kafka.producer(acks="all", linger_ms=5))


class Placer(Closing):
    """Writes one partition, which is empty. Use it in a `with`, or close it."""

    def __init__(self, kafka: Kafka, place: Place, producer: Producer) -> None:
        """`place`: the partition. `producer`: of `producer_of`; to make one takes 0.3 s, so it is used for many."""
        self._kafka = kafka
        self._place = place
        self._producer = producer
        self._transactions: Producer | None = None  # made when the first gap is met
        self._marks = Consumer(kafka.consumer(group_id="kafold-restore", isolation_level="read_uncommitted"))
        self._failures: list[str] = []
        self._at = 0
        self._run: list[Stored] = []

    def place(self, records: Iterable[Stored]) -> None:
        """Write records, each at its offset; they are in order, and all after those that were written before.

        Raises:
            RestoreFailed: one of them is not where it belongs.
        """
        for record in records:
            following = self._at + len(self._run)
            if record.offset != following:
                self._gap(record.offset - following)
            self._run.append(record)
        # The last one is kept back: if a gap of one follows, it has to be in a transaction.
        self._write(self._producer, self._run[:-1])
        self._run = self._run[-1:]

    def finish(self, end: int) -> None:
        """Write what is left, and leave a gap up to `end`, if the partition does not go so far."""
        if end > self._at + len(self._run):
            self._gap(end - self._at - len(self._run))
        self._write(self._producer, self._run)
        self._run = []

    def close(self) -> None:
        """Leave the cluster."""
        self._marks.close()

    def _gap(self, offsets: int) -> None:
        """Write the run, and leave a gap behind it."""
        if self._at + len(self._run) == 0:
            self._lead_in(offsets)
            return
        run, self._run = self._run, []
        if offsets == 1:
            self._write(self._producer, run[:-1])  # a transaction of many records might take too long for Kafka
            self._in_transaction(run[-1:], commit=True)
            return
        self._write(self._producer, run)
        self._in_transaction([Stored(0, 0, None, FILLER)] * (offsets - 1), commit=False)

    def _lead_in(self, offsets: int) -> None:
        """Fill the offsets before the first record, and delete the fillers."""
        for first in range(0, offsets, FILLERS):
            fillers = range(first, min(first + FILLERS, offsets))
            self._write(self._producer, [Stored(number, 0, None, FILLER) for number in fillers])
        admin = AdminClient(self._kafka.admin())  # kept: its futures die with it
        for future in admin.delete_records([TopicPartition(*self._place, offsets)]).values():
            future.result(TIMEOUT_S)

    def _in_transaction(self, records: list[Stored], *, commit: bool) -> None:
        """Write records in a transaction of their own, and wait until its marker is there."""
        producer = self._transactional()
        producer.begin_transaction()
        start = self._at
        self._write(producer, [each._replace(offset=start + n) for n, each in enumerate(records)])
        if commit:
            producer.commit_transaction(TIMEOUT_S)
        else:
            producer.abort_transaction(TIMEOUT_S)
        self._at += 1
        deadline_s = time.monotonic() + TIMEOUT_S
        while self._marks.get_watermark_offsets(TopicPartition(*self._place), timeout=TIMEOUT_S)[1] < self._at:
            if time.monotonic() > deadline_s:
                raise RestoreFailed(f"{self._place[0]}[{self._place[1]}]: a transaction's marker does not come")
            time.sleep(PAUSE_S)

    def _transactional(self) -> Producer:
        if self._transactions is None:
            settings = self._kafka.producer(transactional_id=f"kafold-restore-{self._place[0]}-{self._place[1]}")
            self._transactions = Producer(settings)
            self._transactions.init_transactions(TIMEOUT_S)
        return self._transactions

    def _write(self, producer: Producer, records: list[Stored]) -> None:
        """Write records, and wait until each is at its offset."""
        expected = iter(records)

        def delivered(error: KafkaError | None, message: Any) -> None:
            record = next(expected)
            if error is not None:
                self._failures.append(error.str())
            elif message.offset() != record.offset:
                self._failures.append(f"a record is at {message.offset()} instead of {record.offset}")

        for each in records:
            self._put(producer, each, delivered)
        left = producer.flush(TIMEOUT_S)
        if left or self._failures:
            reason = self._failures[0] if self._failures else f"{left} records are not taken"
            raise RestoreFailed(f"{self._place[0]}[{self._place[1]}]: {reason}: is anything else writing to it?")
        self._at += len(records)

    def _put(self, producer: Producer, record: Stored, delivered: Any) -> None:
        more: dict[str, Any] = {"headers": list(record.headers)} if record.headers else {}
        topic, partition = self._place
        while True:
            try:
                producer.produce(
                    topic, record.value, record.key, partition, delivered, timestamp=record.time_ms, **more
                )
            except BufferError:
                producer.poll(0.1)  # the queue is full: deliveries make room
            except KafkaException as error:
                raise RestoreFailed(f"{topic}[{partition}]: {error.args[0].str()}") from error
            else:
                return
