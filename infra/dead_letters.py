"""Dead letters: those of an application, found by where they lie on its dead-letter topic, and sent again.

Promises: listing and showing change nothing; to send one again gives the original bytes, key and headers to the
original topic and partition, with the id that the command had there, so that it acts once, however often it is sent;
the letter stays where it is, with a note of each time behind it; a record that is no dead letter is said to be none.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.codec import MessageCodec
from schemas.dead_letters import DeadLetter, noted_origin
from schemas.errors import DecodingError, InvalidValue, KafoldError
from schemas.metadata import Headers
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import Application

TIMEOUT_S = 30.0
_PLACE = re.compile(r"(?P<partition>[0-9]{1,9})@(?P<offset>[0-9]{1,18})\Z")


class NoSuchLetter(KafoldError):
    """There is no dead letter at a place; the text says how a place is written, or what there is instead."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of the dead-letter topic. `letter` is None where it is no dead letter; `problem` says why.

    `sent_again_ms`: when its original was sent again, each time.
    """

    partition: int
    offset: int
    letter: DeadLetter | None
    problem: str | None = None
    sent_again_ms: Sequence[int] = ()

    @property
    def place(self) -> str:
        """Where it lies, as the command line takes it."""
        return f"{self.partition}@{self.offset}"


def letters(application: Application, kafka: Kafka, limit: int | None = None) -> list[Letter]:
    """Return the records of the application's dead-letter topic as it is now, the last `limit` of them."""
    topic, found = application.dead_letters, deque[Letter](maxlen=limit)
    notes = defaultdict[str, list[int]](list)
    with closing(Consumer(kafka.consumer(group_id="kafold-dead-letters", enable_partition_eof=True))) as consumer:
        for partition in consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions:
            consumer.assign([TopicPartition(topic, partition, 0)])
            for record in _rest(consumer):
                if (origin := noted_origin(record.headers())) is None:
                    found.append(_letter(record))
                else:
                    notes[origin].append(record.timestamp()[1])
    return [replace(each, sent_again_ms=notes[each.letter.origin]) if each.letter else each for each in found]


def letter_at(application: Application, kafka: Kafka, place: str) -> Letter:
    """Return the record at a place, written as `partition@offset`.

    Raises:
        NoSuchLetter: the text is no place, or nothing lies there.
    """
    match = _PLACE.match(place)
    if match is None:
        raise NoSuchLetter(f"{place!r} is no place: write it as partition@offset, as `kafold dead-letters list` does")
    topic, partition, offset = application.dead_letters, int(match["partition"]), int(match["offset"])
    with closing(Consumer(kafka.consumer(group_id="kafold-dead-letters", enable_partition_eof=True))) as consumer:
        if partition not in consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions:
            raise NoSuchLetter(f"{topic} has no partition {partition}")
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)
        if low <= offset < high:
            consumer.assign([TopicPartition(topic, partition, offset)])
            record = _next(consumer)
            if record is not None and record.offset() == offset and noted_origin(record.headers()) is None:
                return _with_notes(_letter(record), consumer)
    raise NoSuchLetter(
        f"no dead letter lies at {place} of {topic}: `kafold dead-letters list` shows those that there are"
    )


def send_again(application: Application, kafka: Kafka, found: Sequence[Letter]) -> int:
    """Give the originals to their topics again, then note it behind the letters; return how many.

    Raises:
        InvalidValue: one of them is no dead letter; nothing is sent.
        KafkaException: Kafka has not taken all of them.
    """
    originals = [(each.partition, _original(each)) for each in found]
    producer = Producer(kafka.producer())
    _produce(producer, [(each.topic, each.partition, each.key, each.value, each.again()) for _, each in originals])
    _produce(producer, [(application.dead_letters, at, each.key, None, each.note()) for at, each in originals])
    return len(originals)


def decoded(application: Application, ids: SchemaIds, letter: DeadLetter) -> tuple[dict[str, Any] | None, str | None]:
    """Return the message in a letter as plain data, or why it cannot be decoded."""
    for aggregate in application.aggregates:
        topics = application.topics(aggregate)
        codec: MessageCodec[Any, Any] | None = None
        if letter.topic == topics.commands:
            codec = application.command_codec(aggregate, ids)
        elif letter.topic == topics.events:
            codec = application.event_codec(aggregate, ids)
        if codec is not None:
            try:
                message, metadata = codec.decode(letter.value or b"")
            except DecodingError as error:
                return None, f"{type(error).__name__}: {error}"
            fields = message.model_dump(mode="python")
            return {"type": type(message).__name__, "metadata": metadata._asdict(), **fields}, None
    return None, f"{letter.topic} is no topic of {application.name}'s aggregates"


def _produce(producer: Producer, records: Sequence[tuple[str, int, bytes | None, bytes | None, Headers]]) -> None:
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error)

    for topic, partition, key, value, headers in records:
        producer.produce(topic, value, key, partition, headers=list(headers), on_delivery=delivered)
    left = producer.flush(TIMEOUT_S)
    if left or failures:
        raise KafkaException(
            failures[0] if failures else KafkaError(KafkaError._TIMED_OUT, f"{left} are not delivered")
        )


def _with_notes(found: Letter, consumer: Consumer) -> Letter:
    """Return the letter with the notes that lie behind it."""
    if found.letter is None:
        return found
    origin = found.letter.origin
    times = [record.timestamp()[1] for record in _rest(consumer) if noted_origin(record.headers()) == origin]
    return replace(found, sent_again_ms=times)


def _original(found: Letter) -> DeadLetter:
    if found.letter is None:
        raise InvalidValue(f"{found.place} cannot be sent again: {found.problem}")
    return found.letter


def _rest(consumer: Consumer) -> Iterator[Message]:
    while (record := _next(consumer)) is not None:
        yield record


def _next(consumer: Consumer) -> Message | None:
    """Return the next record; None: the partition's end."""
    record = consumer.poll(TIMEOUT_S)
    if record is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer within {TIMEOUT_S:g} s"))
    error = record.error()
    if error is None:
        return record
    if error.code() == KafkaError._PARTITION_EOF:
        return None
    raise KafkaException(error)


def _letter(record: Message) -> Letter:
    place = record.partition(), record.offset()
    try:
        return Letter(*place, DeadLetter.from_record(record.key(), record.value(), record.headers()))
    except InvalidValue as error:
        return Letter(*place, None, str(error))
