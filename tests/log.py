"""What is committed in an application's topics, read whole: the evidence that tests judge by."""

from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from schemas.asking import AskOutcome
from schemas.dead_letters import DeadLetter, noted_origin
from schemas.errors import DecodingError
from schemas.messages import Command, Event
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import Outcome
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import AnyAggregate, Application


class Asked(NamedTuple):
    """A command in the log, with the id that it has or gets."""

    partition: int
    offset: int
    command: Command[Any, Any]
    metadata: CommandMetadata
    command_id: str


class Recorded(NamedTuple):
    """An event in the log."""

    partition: int
    offset: int
    event: Event
    metadata: EventMetadata


class Answered(NamedTuple):
    """An outcome in the log."""

    partition: int
    offset: int
    outcome: Outcome


class Log(NamedTuple):
    """Everything that is committed of one aggregate type, each list in the order of partition and offset."""

    aggregate: AnyAggregate
    commands: list[Asked]
    events: list[Recorded]
    outcomes: list[Answered]


def read_committed(cluster: Kafka, topic: str, timeout_s: float = 30.0) -> list[Message]:
    """Return every committed record of a topic, partition by partition."""
    # At its end a partition says so with the next answer, which would wait for half a second.
    consumer = Consumer(cluster.consumer(group_id="tests", enable_partition_eof=True, fetch_wait_max_ms=10))
    partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    waiting, records = set(partitions), list[Message]()
    while waiting:
        record = consumer.poll(timeout_s)
        if record is None:
            raise AssertionError(f"{topic} could not be read within {timeout_s:g} s")
        error = record.error()
        if error is None:
            records.append(record)
        elif error.code() == KafkaError._PARTITION_EOF:
            waiting.discard(record.partition())
    consumer.close()
    return sorted(records, key=lambda each: (each.partition(), each.offset()))


def log_of(application: Application, name: str, cluster: Kafka, ids: SchemaIds) -> Log:
    """Return everything of an aggregate type. Commands first, so that whoever asks meanwhile is not held against it."""
    commands = commands_of(application, name, cluster, ids)
    events = events_of(application, name, cluster, ids)
    return Log(application.aggregate(name), commands, events, outcomes_of(application, name, cluster, ids))


def commands_of(application: Application, name: str, cluster: Kafka, ids: SchemaIds) -> list[Asked]:
    """Return every command of an aggregate type that can be understood; the others are dead letters, or questions."""
    aggregate = application.aggregate(name)
    codec = application.command_codec(aggregate, ids)
    found = []
    for each in read_committed(cluster, application.topics(aggregate).commands):
        try:
            command, metadata = codec.decode(each.value() or b"")
        except DecodingError:
            continue
        if each.key() == command.aggregate_id.encode() and not isinstance(command, AskOutcome):
            told = dict(each.headers() or ()).get("kafold.command-id", b"").decode()
            command_id = metadata.command_id or told or f"{each.topic()}-{each.partition()}-{each.offset()}"
            found.append(Asked(each.partition(), each.offset(), command, metadata, command_id))
    return found


def events_of(application: Application, name: str, cluster: Kafka, ids: SchemaIds) -> list[Recorded]:
    """Return every event of an aggregate type."""
    aggregate = application.aggregate(name)
    codec = application.event_codec(aggregate, ids)
    records = read_committed(cluster, application.topics(aggregate).events)
    return [Recorded(each.partition(), each.offset(), *codec.decode(each.value())) for each in records]


def outcomes_of(application: Application, name: str, cluster: Kafka, ids: SchemaIds) -> list[Answered]:
    """Return every outcome of an aggregate type."""
    aggregate = application.aggregate(name)
    codec = application.outcome_codec(aggregate, ids)
    records = read_committed(cluster, application.topics(aggregate).outcomes)
    return [Answered(each.partition(), each.offset(), codec.decode(each.value())) for each in records]


def dead_letters_of(application: Application, cluster: Kafka) -> list[DeadLetter]:
    """Return every dead letter of an application."""
    records = [
        each for each in read_committed(cluster, application.dead_letters) if noted_origin(each.headers()) is None
    ]
    return [DeadLetter.from_record(each.key(), each.value(), each.headers() or []) for each in records]
