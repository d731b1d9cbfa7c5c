"""Ends: up to where partitions are to be read, so that what is read fits together.

An end is **settled** when every transaction that wrote before it has committed or aborted.

Promises: what was committed before the question lies before a settled end, and will not change; nothing is written.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import KafoldError
from schemas.position import Place
from streams.kafka.config import Kafka

TIMEOUT_S = 30.0
PAUSE_S = 0.02
# How librdkafka and the broker say that there is no such partition.
UNKNOWN = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)


class Unsettled(KafoldError):
    """A transaction stays open, so that nobody knows what was committed. See who writes to the topic, try again."""


def places_of(kafka: Kafka, topics: Iterable[str]) -> list[Place]:
    """Return the topics' partitions, in order.

    Raises:
        KafkaException: a topic does not exist.
    """
    with closing(_consumer(kafka)) as consumer:
        found = []
        for topic in topics:
            known = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
            if known.error is not None:
                raise KafkaException(known.error)
            found += [(topic, partition) for partition in sorted(known.partitions)]
        return found


def committed_offsets(kafka: Kafka, group: str, places: Iterable[Place]) -> dict[Place, int]:
    """Return the next offset that a group will take, 0 where it has taken none. Waits for an open transaction's end."""
    wanted, deadline_s = list(places), time.monotonic() + TIMEOUT_S
    with closing(Consumer(kafka.consumer(group_id=group))) as consumer:
        while True:
            try:
                found = consumer.committed([TopicPartition(*place) for place in wanted], timeout=TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNSTABLE_OFFSET_COMMIT:
                    raise
                found = []
            for each in found:
                if each.error:
                    raise KafkaException(each.error)
            if len(found) == len(wanted):
                return {(each.topic, each.partition): max(each.offset, 0) for each in found}
            _pause(deadline_s, group)


def marks_of(kafka: Kafka, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """Return each partition's first offset and its end, open transactions included."""
    with closing(_consumer(kafka, isolation_level="read_uncommitted")) as consumer:
        return {place: _watermarks(consumer, place) for place in places}


def settled_ends(kafka: Kafka, places: Iterable[Place]) -> Mapping[Place, int]:
    """Return the partitions' ends as they are now, once they are settled.

    Raises:
        Unsettled: a transaction stays open for 30 s.
    """
    ends = {place: high for place, (_, high) in marks_of(kafka, places).items()}
    with closing(_consumer(kafka)) as consumer:
        for place, end in ends.items():
            deadline_s = time.monotonic() + TIMEOUT_S
            while _watermarks(consumer, place)[1] < end:
                _pause(deadline_s, f"{place[0]}[{place[1]}]")
    return ends


def _consumer(kafka: Kafka, **extra: str) -> Consumer:
    return Consumer(kafka.consumer(group_id="kafold-ends", **extra))


def _watermarks(consumer: Consumer, place: Place) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT_S)
    return int(low), int(high)


def _pause(deadline_s: float, what: str) -> None:
    if time.monotonic() > deadline_s:
        raise Unsettled(f"a transaction on {what} stays open for {TIMEOUT_S:g} s: see who writes to it, then try again")
    time.sleep(PAUSE_S)
