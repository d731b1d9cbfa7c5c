"""Verifying: the journal compared with its topic, event by event.

Both are read in the order of partition and offset, as streams, up to where the journal's checkpoint is: what comes
after it is merely not there yet, and what is parked is known to be missing.

Promises: nothing is changed, memory does not grow with the log, and the first difference is named.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from psycopg import sql

from schemas.codec import MessageCodec
from schemas.errors import DecodingError, InvalidPosition
from schemas.metadata import EventMetadata
from schemas.registry import SchemaIds
from streams.event_store.comparing import Difference, Entry, first_difference
from streams.kafka.config import Kafka
from streams.kafka.topics import topic_ids
from streams.kernel.application import AnyAggregate, Application
from streams.postgres import journal
from streams.postgres.checkpoints import JOURNAL
from streams.postgres.connection import Connection, connect

OnProgress = Callable[[int, int], None]

PROGRESS_EVENTS = 5_000
ROWS = 5_000
RECORDS = 5_000
TIMEOUT_S = 30.0

_CHECKPOINTS = """
SELECT partition, next, topic_id FROM kafold.checkpoints
WHERE application = %s AND projection = %s AND version = %s AND topic = %s ORDER BY partition
"""
_PARKED = """
SELECT partition, "offset" FROM kafold.parked WHERE application = %s AND projection = %s AND version = %s AND topic = %s
"""
_ROWS = 'SELECT partition, "offset", id, version, data FROM {} ORDER BY partition, "offset"'


class Verified(NamedTuple):
    """`events`: how many are the same in both, up to the first difference. `parked`: how many the journal waits for."""

    topic: str
    events: int
    parked: int
    difference: Difference | None


def verify(
    application: Application,
    aggregate: AnyAggregate,
    kafka: Kafka,
    dsn: str,
    ids: SchemaIds,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Verified:
    """Compare an aggregate type's journal with its topic. `on_progress` is told how many offsets of how many are done.

    Raises:
        InvalidPosition: the journal is of another topic of the same name.
    """
    topic, codec = application.topics(aggregate).events, application.event_codec(aggregate, ids)
    with connect(dsn, "verify") as connection, connection.transaction():
        # One snapshot for all of it. It holds no lock that anybody waits for, however long Kafka takes meanwhile.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        reader = [application.name, *JOURNAL, topic]
        ends = _ends(connection, reader, kafka)
        parked = frozenset((place[0], place[1]) for place in connection.execute(_PARKED, reader))
        progress = _Progress(ends, on_progress)
        recorded, rows = _recorded(kafka, topic, ends, codec), _rows(connection, topic)
        difference = first_difference(recorded, rows, parked, progress)
    return Verified(topic, progress.events, len(parked), difference)


class _Progress:
    """Counts the events, and says now and then how far it is."""

    def __init__(self, ends: Mapping[int, int], on_progress: OnProgress) -> None:
        self.events = 0
        self._ends = ends
        self._on_progress = on_progress

    def __call__(self, entry: Entry) -> None:
        self.events += 1
        if self.events % PROGRESS_EVENTS == 0:
            before = sum(end for partition, end in self._ends.items() if partition < entry.partition)
            self._on_progress(before + entry.offset, sum(self._ends.values()))


def _ends(connection: Connection, reader: list[Any], kafka: Kafka) -> Mapping[int, int]:
    """Return by partition how far the journal is."""
    topic = reader[-1]
    found = connection.execute(_CHECKPOINTS, reader).fetchall()
    [actual] = topic_ids(kafka, [topic]).values()
    for partition, _, topic_id in found:
        if topic_id != actual:
            raise InvalidPosition(
                f"the journal of {topic} (partition {partition}) is of another topic of this name (UUID {topic_id}, "
                f"now {actual}): restore the topic, or drop the journal's table and checkpoints to have it made anew"
            )
    return {partition: next_offset for partition, next_offset, _ in found}


def _rows(connection: Connection, topic: str) -> Iterator[Entry]:
    with connection.cursor(name="journal") as cursor:
        cursor.itersize = ROWS
        cursor.execute(sql.SQL(_ROWS).format(journal.table(topic)))
        for row in cursor:
            yield Entry(*row)


def _recorded(
    kafka: Kafka, topic: str, ends: Mapping[int, int], codec: MessageCodec[Any, EventMetadata]
) -> Iterator[Entry]:
    consumer = Consumer(kafka.consumer(group_id="kafold-verify", enable_partition_eof=True))
    try:
        for partition, end in ends.items():
            consumer.assign([TopicPartition(topic, partition, 0)])
            for record in _until(consumer, end):
                key = (record.key() or b"").decode(errors="backslashreplace")
                data = record.value() or b""
                yield Entry(partition, record.offset(), key, _version(codec, data), data)
    finally:
        consumer.close()


def _until(consumer: Consumer, end: int) -> Iterator[Message]:
    """Yield the committed records before an offset."""
    while True:
        first = consumer.poll(TIMEOUT_S)
        if first is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no records for {TIMEOUT_S:g} s"))
        # `consume` alone would wait out its time for a full batch.
        for record in [first, *consumer.consume(RECORDS - 1, 0)]:
            error = record.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            # Behind the last record there may be a transaction's marker only: then the partition's end comes first.
            if record.offset() >= end or error is not None:
                return
            yield record


def _version(codec: MessageCodec[Any, EventMetadata], data: bytes) -> int | None:
    try:
        return codec.decode_metadata(data).version
    except DecodingError:
        return None
