"""A bulk source: the committed records of partitions, in large batches, from one offset to another.

Partitions are read one after the other, so that each batch is of one partition and in order. The beginning of the one
that is expected next is fetched meanwhile, by a second consumer.

Promises: nothing of an open or aborted transaction; nothing is committed to Kafka; reading ends at the given offset, or
at what was committed when the partition's end was met, whichever comes first.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.closing import Closing
from schemas.position import Place
from streams.kafka.config import Kafka

BATCH_RECORDS = 10_000
WAIT_S = 0.01
BACKOFF_MS = 10  # after a full queue; librdkafka's second is longer than the queue lasts
TIMEOUT_S = 30.0
PREFETCHED_RECORDS = 200_000
PREFETCHED_KB = 64 * 1024  # a consumer, of which there are two at most


class BulkSource(Closing):
    """A context manager with a consumer of its own."""

    def __init__(self, kafka: Kafka, name: str, prefetched_kb: int = PREFETCHED_KB) -> None:
        """`name` tells the consumer from others in Kafka's logs; there is no group."""
        self._settings = kafka.consumer(
            group_id=f"kafold-{name}",
            enable_partition_eof=True,
            queued_min_messages=PREFETCHED_RECORDS,
            queued_max_messages_kbytes=prefetched_kb,
            fetch_max_bytes=16 * 1024 * 1024,
            max_partition_fetch_bytes=8 * 1024 * 1024,
            fetch_wait_max_ms=50,
            fetch_queue_backoff_ms=BACKOFF_MS,
        )
        self._consumer = Consumer(self._settings)
        self._ahead: Consumer | None = None
        self._expected: tuple[Place, int] | None = None
        # Ends of partitions, where there is nothing but markers: from the offset after the last record to the next one.
        self._empty: dict[Place, tuple[int, int]] = {}

    def close(self) -> None:
        """Let go of the consumers."""
        self._consumer.close()
        if self._ahead is not None:
            self._ahead.close()

    def places(self, topics: Iterable[str]) -> list[Place]:
        """Return the topics' partitions, in order."""
        found = {topic: self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic] for topic in sorted(topics)}
        return [(topic, number) for topic, about in found.items() for number in sorted(about.partitions)]

    def bounds(self, places: Iterable[Place]) -> Mapping[Place, tuple[int, int]]:
        """Return for each partition its first offset and the one after its last record or marker."""
        return {
            place: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT_S) for place in places
        }

    def batches(
        self, place: Place, start: int, end: int, then: tuple[Place, int] | None = None
    ) -> Generator[list[Message], None, None]:
        """Yield the committed records with `start <= offset < end`. `then`: what is asked for next, and from where.

        Raises:
            KafkaException: the cluster cannot be read.
        """
        first, after = self._empty.get(place, (start, start))
        if start >= end or first <= start < end <= after:
            return
        consumer = self._taking(place, start, then)
        try:
            yield from self._until(consumer, place, start, end)
        finally:
            consumer.unassign()

    def _taking(self, place: Place, start: int, then: tuple[Place, int] | None) -> Consumer:
        """Return a consumer that reads there, the one that fetches from there already if there is; fetch ahead."""
        if self._ahead is not None and self._expected == (place, start):
            self._consumer, self._ahead = self._ahead, self._consumer
        else:
            self._consumer.assign([TopicPartition(*place, start)])
        if then is not None:
            self._ahead = self._ahead or Consumer(self._settings)
            self._ahead.assign([TopicPartition(*then[0], then[1])])
        self._expected = then
        return self._consumer

    def _until(self, consumer: Consumer, place: Place, at: int, end: int) -> Iterator[list[Message]]:
        while True:
            records = consumer.consume(BATCH_RECORDS, WAIT_S) or _waited(consumer)
            ended = _take_off_the_end(records)
            at = records[-1].offset() + 1 if records else at
            if ended is not None:
                self._empty[place] = at, ended
            if at >= end:
                records = [each for each in records if each.offset() < end]
            if records:
                yield records
            if ended is not None or at >= end:
                return


def _waited(consumer: Consumer) -> list[Message]:
    record = consumer.poll(TIMEOUT_S)
    if record is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no records for {TIMEOUT_S:g} s"))
    return [record]


def _take_off_the_end(records: list[Message]) -> int | None:
    """Remove the mark of the partition's end, which is the last where there is one; return its offset."""
    if records[-1].error() is None:
        return None
    mark = records.pop()
    if mark.error().code() != KafkaError._PARTITION_EOF:
        raise KafkaException(mark.error())
    return int(mark.offset())
