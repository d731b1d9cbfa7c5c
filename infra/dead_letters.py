"""Dead letters: those of an application, found by where they lie on its dead-letter topic, and sent again.

Promises: listing and showing change nothing; to send one again gives the original bytes, key and headers to the
original topic and partition, and leaves the letter where it is; a record that is no dead letter is said to be none.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.codec import MessageCodec
from schemas.dead_letters import DeadLetter
from schemas.errors import DecodingError, InvalidValue, KafoldError
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import Application

TIMEOUT_S = 30.0
_PLACE = re.compile(r"(?P<partition>[0-9]{1,9})@(?P<offset>[0-9]{1,18})\Z")


class NoSuchLetter(KafoldError):
    """There is no dead letter at a place; the text says how a place is written, or what there is instead."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of the dead-letter topic. `letter` is None where it is no dead letter; `problem` says why."""

    partition: int
    offset: int
    letter: DeadLetter | None
    problem: str | None = None

    @property
    def place(self) -> str:
        """Where it lies, as the command line takes it."""
        return f"{self.partition}@{self.offset}"


def letters(application: Application, kafka: Kafka) -> Iterator[Letter]:
    """Yield every record of the application's dead-letter topic, as it is now."""
    topic = application.dead_letters
    with closing(Consumer(kafka.consumer(group_id="kafold-dead-letters", enable_partition_eof=True))) as consumer:
        for partition in consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions:
            consumer.assign([TopicPartition(topic, partition, 0)])
            while (record := _next(consumer)) is not None:
                yield _letter(record)


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
            if record is not None and record.offset() == offset:
                return _letter(record)
    raise NoSuchLetter(
        f"no dead letter lies at {place} of {topic}: `kafold dead-letters list` shows those that there are"
    )


def send_again(kafka: Kafka, found: list[Letter]) -> int:
    """Give the originals to their topics again; return how many.

    Raises:
        InvalidValue: one of them is no dead letter; nothing is sent.
        KafkaException: Kafka has not taken all of them.
    """
    originals = [_original(each) for each in found]
    failures: list[KafkaError] = []
    producer = Producer(kafka.producer())
    for letter in originals:
        producer.produce(
            letter.topic,
            letter.value,
            letter.key,
            letter.partition,
            headers=list(letter.headers),
            on_delivery=lambda error, _: failures.append(error) if error is not None else None,
        )
    left = producer.flush(TIMEOUT_S)
    if left or failures:
        raise KafkaException(
            failures[0] if failures else KafkaError(KafkaError._TIMED_OUT, f"{left} are not delivered")
        )
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


def _original(found: Letter) -> DeadLetter:
    if found.letter is None:
        raise InvalidValue(f"{found.place} cannot be sent again: {found.problem}")
    return found.letter


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
