"""Progress: how far the parts of an application are, partition by partition.

Promises: a **lag** of 0 means that nothing waits. The log's end counts the marker that ends a transaction, which no
position ever counts, so the last offset of a partition that only transactions write to is left out of its lag.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

from schemas.position import Place
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.postgres.checkpoints import position_of
from streams.processor.processor import group_of

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one reader is in one partition."""

    reader: str
    topic: str
    partition: int
    position: int
    end: int
    lag: int

    def facts(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def processors_progress(application: Application, kafka: Kafka) -> list[Progress]:
    """Return how far the command processors have decided."""
    topics = [application.topics(aggregate).commands for aggregate in application.aggregates]
    consumer = Consumer(kafka.consumer(group_id=group_of(application)))
    try:
        ends = ends_of(consumer, topics)
        committed = consumer.committed([TopicPartition(*place) for place in ends], timeout=TIMEOUT_S)
    finally:
        consumer.close()
    found = {(each.topic, each.partition): max(each.offset, 0) for each in committed}
    return [
        Progress("processor", topic, partition, found[topic, partition], end, max(0, end - found[topic, partition]))
        for (topic, partition), end in ends.items()
    ]


def projections_progress(application: Application, kafka: Kafka, dsn: str) -> list[Progress]:
    """Return how far each projection has folded."""
    topics = [application.topics(aggregate).events for aggregate in application.aggregates]
    consumer = Consumer(kafka.consumer(group_id="kafold-status"))
    try:
        ends = ends_of(consumer, topics)
    finally:
        consumer.close()
    progress: list[Progress] = []
    with psycopg.connect(dsn) as connection:
        for projection in application.newest_projections:
            sources = {application.topics(aggregate).events for aggregate in projection.of}
            offsets = position_of(connection, application.name, projection.name).offsets
            for (topic, partition), end in ends.items():
                if topic in sources:
                    position = offsets.get((topic, partition), 0)
                    lag = max(0, end - 1 - position)
                    progress.append(Progress(projection.name, topic, partition, position, end, lag))
    return progress


def ends_of(consumer: Consumer, topics: Sequence[str]) -> dict[Place, int]:
    """Return the topics' ends by partition."""
    ends: dict[Place, int] = {}
    for topic in topics:
        for partition in sorted(consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions):
            place = TopicPartition(topic, partition)
            _, ends[topic, partition] = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
    return ends
