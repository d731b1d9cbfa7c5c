"""Proving: reading an application's real topics for `kafold schemas prove`, in bulk.

Promises: everything that was committed before it began is looked at, once; nothing is committed, so that no consumer
of the application's own is disturbed; partitions are read to the offsets that were their ends at the start.
"""

import gc
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from schemas.avro_foreign import full_name
from schemas.position import Place
from schemas.proof import Proof, Prover
from schemas.written import written_record
from streams.kafka.config import Kafka
from streams.kafka.registry import RegistryUnavailable, TopicRegistry
from streams.kernel.application import Application

BATCH = 10_000
TIMEOUT_S = 10.0
SILENT_POLLS_MAX = 6


def prove_topics(
    application: Application,
    kafka: Kafka,
    *,
    everything: bool = False,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Proof:
    """Read the commands, events and outcomes of every aggregate; return what was found.

    `advance` is told how many offsets are done, of how many.

    Raises:
        RegistryUnavailable: the topics cannot be read.
    """
    proof = Proof()
    with TopicRegistry(kafka) as ids:
        provers = _provers(application, ids, proof, everything=everything)
        consumer = Consumer(kafka.consumer(group_id=f"{application.name}-proof", enable_partition_eof=True))
        try:
            _read(consumer, _ranges(consumer, list(provers)), provers, advance)
        finally:
            consumer.close()
    proof.lines.sort(key=lambda line: (line.topic, line.record, line.schema_id))
    return proof


def _provers(application: Application, ids: TopicRegistry, proof: Proof, *, everything: bool) -> dict[str, Prover]:
    def name_of(schema_id: int) -> str:
        return full_name(written_record(ids, schema_id).schema)

    decoders: dict[str, Callable[[bytes], Any]] = {}
    for aggregate in application.aggregates:
        topics = application.topics(aggregate)
        decoders[topics.commands] = application.command_codec(aggregate, ids).decode
        decoders[topics.events] = application.event_codec(aggregate, ids).decode
        decoders[topics.outcomes] = application.outcome_codec(aggregate, ids).decode
    return {topic: Prover(topic, decode, name_of, proof, everything=everything) for topic, decode in decoders.items()}


def _ranges(consumer: Consumer, topics: list[str]) -> Mapping[Place, tuple[int, int]]:
    """Return the first and the last-but-one offset of each partition that has records."""
    known = consumer.list_topics(timeout=TIMEOUT_S).topics
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise RegistryUnavailable(f"there is no topic {missing[0]}: start `kafold up` once")
    places = [(topic, partition) for topic in topics for partition in known[topic].partitions]
    marks = {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT_S) for place in places}
    return {place: (low, high) for place, (low, high) in marks.items() if high > low}


def _read(
    consumer: Consumer,
    ranges: Mapping[Place, tuple[int, int]],
    provers: Mapping[str, Prover],
    advance: Callable[[int, int], None],
) -> None:
    """Read each partition from its beginning to its end, in large batches with garbage collection off."""
    total = sum(high - low for low, high in ranges.values())
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
            _take(messages, ranges, provers, at)
            open_places -= {place for place in open_places if at[place] >= ranges[place][1]}
            advance(sum(min(at[place], high) - low for place, (low, high) in ranges.items()), total)
    finally:
        gc.enable()


def _take(
    messages: list[Message],
    ranges: Mapping[Place, tuple[int, int]],
    provers: Mapping[str, Prover],
    at: dict[Place, int],
) -> None:
    batches: dict[str, list[tuple[int, int, bytes | None]]] = defaultdict(list)
    for message in messages:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if message.error() is not None:
            # The partition's end: what is before it and was not seen are transactions' markers.
            at[topic, partition] = ranges[topic, partition][1]
        elif offset < ranges[topic, partition][1]:
            batches[topic].append((partition, offset, message.value()))
            at[topic, partition] = offset + 1
        else:
            at[topic, partition] = ranges[topic, partition][1]
    for topic, records in batches.items():
        provers[topic].take(records)
