"""Proving: reading an application's real topics for `kafold schemas prove`, in bulk.

Promises: everything that was committed before it began is looked at, once; nothing is committed, so that no consumer
of the application's own is disturbed; partitions are read to the offsets that were their ends at the start.
"""

import gc
from collections import defaultdict
from collections.abc import Callable, Mapping

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.dead_letters import DeadLetter
from schemas.errors import InvalidValue
from schemas.position import Place
from schemas.proof import Kept
from streams.kafka.config import Kafka
from streams.kafka.registry import RegistryUnavailable
from streams.kernel.application import Application
from streams.kernel.proving import Provers

BATCH = 10_000
TIMEOUT_S = 10.0
SILENT_POLLS_MAX = 6

Ranges = Mapping[Place, tuple[int, int]]
"""Of each partition that has records, its first offset and its end."""


def prove_topics(
    application: Application,
    kafka: Kafka,
    provers: Provers,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Read the dead letters, then the commands, events and outcomes of every aggregate.

    `advance` is told how many offsets are done, of how many.

    Raises:
        RegistryUnavailable: the topics cannot be read.
    """
    consumer = Consumer(kafka.consumer(group_id=f"{application.name}-proof", enable_partition_eof=True))
    try:
        # What the topics' ends are is asked first: a command before its end is taken for bad only after its dead letter
        # had its chance to be read.
        ranges = _ranges(consumer, list(provers.topics))
        letters = _ranges(consumer, [application.dead_letters])
        before, total = _size(letters), _size(letters) + _size(ranges)
        _read(consumer, letters, lambda messages: _take_letters(messages, provers), lambda done: advance(done, total))
        _read(consumer, ranges, lambda each: _take(each, provers), lambda done: advance(before + done, total))
    finally:
        consumer.close()


def _size(ranges: Ranges) -> int:
    return sum(high - low for low, high in ranges.values())


def _ranges(consumer: Consumer, topics: list[str]) -> Ranges:
    known = consumer.list_topics(timeout=TIMEOUT_S).topics
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise RegistryUnavailable(f"there is no topic {missing[0]}: start `kafold up` once")
    places = [(topic, partition) for topic in topics for partition in known[topic].partitions]
    marks = {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT_S) for place in places}
    return {place: (low, high) for place, (low, high) in marks.items() if high > low}


def _read(
    consumer: Consumer, ranges: Ranges, take: Callable[[list[Message]], None], advance: Callable[[int], None]
) -> None:
    """Read each partition from its beginning to its end, in large batches with garbage collection off."""
    at = {place: low for place, (low, _) in ranges.items()}
    consumer.assign([TopicPartition(*place, low) for place, (low, _) in ranges.items()])
    open_places, silent = set(ranges), 0
    gc.disable()
    try:
        while open_places:
            messages = consumer.consume(BATCH, TIMEOUT_S if silent else 1.0)
            silent = 0 if messages else silent + 1
            if silent > SILENT_POLLS_MAX:
                raise RegistryUnavailable(
                    "Kafka gives no more records, and the topics' ends are not reached: try again"
                )
            take(_within(messages, ranges, at))
            open_places -= {place for place in open_places if at[place] >= ranges[place][1]}
            advance(sum(min(at[place], high) - low for place, (low, high) in ranges.items()))
    finally:
        gc.enable()


def _within(messages: list[Message], ranges: Ranges, at: dict[Place, int]) -> list[Message]:
    """Return the records before the partitions' ends, and note in `at` how far the partitions are read."""
    found = []
    for message in messages:
        place, offset = (message.topic(), message.partition()), message.offset()
        if place not in ranges:
            continue  # of the topics that were read before these
        end = ranges[place][1]
        if message.error() is None and offset < end:
            found.append(message)
            at[place] = offset + 1
        else:
            # The partition's end: what is before it and was not seen are transactions' markers.
            at[place] = end
    return found


def _take(messages: list[Message], provers: Provers) -> None:
    batches: dict[str, list[tuple[int, int, bytes | None]]] = defaultdict(list)
    for message in messages:
        batches[message.topic()].append((message.partition(), message.offset(), message.value()))
    for topic, records in batches.items():
        provers.topics[topic].take(records)


def _take_letters(messages: list[Message], provers: Provers) -> None:
    for message in messages:
        try:
            letter = DeadLetter.from_record(message.key(), message.value(), message.headers())
        except InvalidValue:
            continue  # not from here: anybody may write to the topic, and `kafold dead-letters list` shows it
        provers.letters[letter.topic, letter.partition, letter.offset] = letter.error
        record = (letter.partition, letter.offset, letter.value)
        provers.of(Kept.DEAD_LETTER, letter.topic).take([record])
