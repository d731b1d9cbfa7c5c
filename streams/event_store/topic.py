"""An events topic as `verify` reads it: every committed event, partition by partition, in order.

Promises: reading ends at the ends that the topic had when it was opened, however fast it grows; an event that cannot be
decoded has no version, and is no error here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.closing import Closing
from schemas.codec import MessageCodec
from schemas.errors import DecodingError
from schemas.metadata import EventMetadata
from streams.event_store.comparing import Entry
from streams.kafka.config import Kafka

RECORDS = 5_000
TIMEOUT_S = 30.0


class EventsTopic(Closing):
    """One events topic. Close it, or use it in a `with`."""

    def __init__(self, kafka: Kafka, name: str, codec: MessageCodec[Any, EventMetadata]) -> None:
        """Ask for the topic's partitions and their ends."""
        self.name = name
        self._codec = codec
        self._consumer = Consumer(kafka.consumer(group_id="kafold-verify", enable_partition_eof=True))
        partitions = self._consumer.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions
        self.ends: Mapping[int, int] = {each: self._end(each) for each in sorted(partitions)}

    def all(self) -> Iterator[Entry]:
        """Yield every event."""
        for partition, end in self.ends.items():
            yield from self.between(partition, 0, end)

    def between(self, partition: int, first: int, end: int) -> Iterator[Entry]:
        """Yield the events of a partition from one offset to before another."""
        if partition not in self.ends or first >= end:
            return
        self._consumer.assign([TopicPartition(self.name, partition, first)])
        for record in self._until(end):
            key = (record.key() or b"").decode(errors="backslashreplace")
            data = record.value() or b""
            yield Entry(partition, record.offset(), key, self._version(data), data)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def _end(self, partition: int) -> int:
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self.name, partition), timeout=TIMEOUT_S)
        return int(end)

    def _until(self, end: int) -> Iterator[Message]:
        """Yield the committed records before an offset."""
        while True:
            first = self._consumer.poll(TIMEOUT_S)
            if first is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no records for {TIMEOUT_S:g} s"))
            # `consume` alone would wait out its time for a full batch.
            for record in [first, *self._consumer.consume(RECORDS - 1, 0)]:
                error = record.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                # Behind the last record there may be a transaction's marker only: then the partition's end comes first.
                if record.offset() >= end or error is not None:
                    return
                yield record

    def _version(self, data: bytes) -> int | None:
        try:
            return self._codec.decode_metadata(data).version
        except DecodingError:
            return None
