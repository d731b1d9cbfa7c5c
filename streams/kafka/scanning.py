"""Scanning: reading partitions, from their beginnings or later, up to given offsets, record by record.

Promises: every committed record before the ends is yielded, once, partition after partition in offset order; nothing is
committed, so that no consumer of the application's own is disturbed.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.position import Place
from streams.kafka.config import Kafka

OnProgress = Callable[[int, int], None]

RECORDS = 5_000
TIMEOUT_S = 30.0


def scan(
    kafka: Kafka,
    ends: Mapping[Place, int],
    on_progress: OnProgress = lambda _done, _total: None,
    begins: Mapping[Place, int] | None = None,
) -> Generator[Message]:
    """Yield the committed records before the ends, in the order of `ends`.

    `on_progress` is told how many offsets of how many are done, every few thousand of them. `begins`: the offsets to
    begin at; 0 where nothing is said.

    Raises:
        KafkaException: the cluster does not answer, or refuses.
    """
    total, before = sum(ends.values()), 0
    # That a partition is at its end comes with the answer to the next fetch, which would wait for half a second.
    configuration = kafka.consumer(group_id="kafold-scan", enable_partition_eof=True, fetch_wait_max_ms=10)
    with closing(Consumer(configuration)) as consumer:
        for place, end in ends.items():
            begin = (begins or {}).get(place, 0)
            if end > begin:
                consumer.assign([TopicPartition(*place, begin)])
                for batch in _batches(consumer, end):
                    yield from batch
                    on_progress(before + batch[-1].offset() + 1, total)
            before += end
    on_progress(total, total)


def _batches(consumer: Consumer, end: int) -> Iterator[list[Message]]:
    """Yield the records before an offset, as many at once as are there."""
    while True:
        first = consumer.poll(TIMEOUT_S)
        if first is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no records for {TIMEOUT_S:g} s"))
        # `consume` alone would wait out its time for a full batch.
        batch = [first, *consumer.consume(RECORDS - 1, 0)]
        for record in batch:
            error = record.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
        # Behind the last record there may be a transaction's marker only: then the partition's end comes first.
        wanted = [record for record in batch if record.error() is None and record.offset() < end]
        if wanted:
            yield wanted
        if len(wanted) < len(batch):
            return
