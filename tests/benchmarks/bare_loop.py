"""The baseline of `commands`: a bare consume-decode-produce transactional loop, shared/spikes/transactional_loop.py.

As there, each command is decoded with fastavro, added to a balance, and encoded again as the event. It checks nothing
and remembers nothing. Event and outcome have our sizes, filled up with the command's own bytes: what is all zeros would
be compressed to nothing, and spare the baseline what our records cost.
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
    parsed, balances = fastavro.parse_schema(schema), dict[bytes, int]()
    event_bytes, outcome_bytes = sizes
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
            key, value, partition = record.key(), record.value(), record.partition()
            body = io.BytesIO(value)
            body.seek(5)
            command: Any = fastavro.schemaless_reader(body, parsed, None)
            balances[key] = balances.get(key, 0) + command["amount_cents"]
            encoded = io.BytesIO()
            encoded.write(value[:5])
            fastavro.schemaless_writer(encoded, parsed, command)
            event = (encoded.getvalue() + value)[:event_bytes]
            outcome = value[:outcome_bytes]
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
