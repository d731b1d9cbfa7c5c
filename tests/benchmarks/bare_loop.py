"""The baseline of `commands`: a bare consume-decode-produce transactional loop, after shared/spikes.

It decodes each command with fastavro alone and produces an event and an outcome of our sizes; it decides nothing,
checks nothing and remembers nothing.
"""

import io
import time
import uuid
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.kafka.config import Kafka


def run_bare_loop(
    cluster: Kafka, topics: tuple[str, str, str], schema: Any, sizes: tuple[int, int], commands: int, batch: int
) -> float:
    """Process a backlog of commands and return commands per second.

    Args:
        cluster: where.
        topics: commands, events and outcomes.
        schema: the Avro schema of the commands.
        sizes: bytes of an event and of an outcome.
        commands: how many there are.
        batch: how many to take at once at most.
    """
    parsed, event, outcome = fastavro.parse_schema(schema), bytes(sizes[0]), bytes(sizes[1])
    commands_topic, events_topic, outcomes_topic = topics
    consumer = Consumer(cluster.consumer(group_id=f"bare-{uuid.uuid4().hex}", queued_min_messages=200_000))
    producer = Producer(cluster.producer(transactional_id=f"bare-{uuid.uuid4().hex}", linger_ms=0))
    producer.init_transactions()
    consumer.subscribe([commands_topic])
    done, started = 0, 0.0
    while done < commands:
        records = consumer.consume(batch, 0.5)
        if not records:
            continue
        started = started or time.perf_counter()
        producer.begin_transaction()
        offsets: dict[int, int] = {}
        for record in records:
            body = io.BytesIO(record.value())
            body.seek(5)
            fastavro.schemaless_reader(body, parsed, None)
            key, partition = record.key(), record.partition()
            producer.produce(events_topic, event, key, partition)
            producer.produce(outcomes_topic, outcome, key, partition)
            offsets[partition] = record.offset() + 1
        places = [TopicPartition(commands_topic, partition, offset) for partition, offset in offsets.items()]
        producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata())
        producer.commit_transaction()
        done += len(records)
    rate = commands / (time.perf_counter() - started)
    consumer.close()
    return rate
