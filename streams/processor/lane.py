"""A lane: one aggregate type's topics, codecs and decider, as the command processor uses them.

Promises: `read` turns any record of the commands topic into a command with its metadata, a question for an outcome, or
a dead letter that says why not, with the command's id where that can be read; it never raises for what a producer sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import Message

from schemas.asking import AskOutcome
from schemas.codec import MessageCodec
from schemas.dead_letters import DeadLetter
from schemas.errors import DecodingError
from schemas.messages import Command
from schemas.metadata import CommandMetadata, EventMetadata, implied_id
from schemas.outcomes import OutcomeCodec
from schemas.registry import SchemaIds
from schemas.topics import AggregateTopics
from streams.kernel.application import AnyAggregate, Application
from streams.kernel.errors import WrongKey
from streams.kernel.fingerprint import fingerprint
from streams.kernel.processing import Processing, new_tuple


class Asked(NamedTuple):
    """A command, or a question for an outcome, as it was read from its topic."""

    command: Command[Any, Any] | AskOutcome
    metadata: CommandMetadata
    command_id: str


class Unreadable(NamedTuple):
    """A record that is no command. `command_id`: None where its sender gave none, or it cannot be read."""

    letter: DeadLetter
    command_id: str | None


@dataclass(frozen=True)
class Lane:
    """One aggregate type, ready to process. `fingerprint`: of the code that folds it."""

    aggregate: AnyAggregate
    topics: AggregateTopics
    commands: MessageCodec[Any, CommandMetadata]
    events: MessageCodec[Any, EventMetadata]
    outcomes: OutcomeCodec
    processing: Processing
    fingerprint: str

    def read(self, record: Message) -> Asked | Unreadable:
        """Return the command in a record, or the dead letter that it becomes."""
        try:
            command, metadata = self.commands.decode(record.value() or b"")
            if record.key() != command.aggregate_id.encode():
                raise _wrong_key(command, record.key())
        except DecodingError as error:
            return Unreadable(dead_letter(record, error), self._command_id(record))
        command_id = metadata.command_id or id_of(record)
        return new_tuple(Asked, (command, metadata, command_id))

    def _command_id(self, record: Message) -> str | None:
        """Return the id that the sender of an unreadable command gave it, if that much can be read."""
        try:
            return self.commands.decode_metadata(record.value() or b"").command_id
        except DecodingError:
            return None


def lanes(application: Application, ids: SchemaIds, partitions: int) -> Iterator[Lane]:
    """Yield a lane for each of the application's aggregates."""
    for aggregate in application.aggregates:
        events = application.event_codec(aggregate, ids)
        yield Lane(
            aggregate,
            application.topics(aggregate),
            application.command_codec(aggregate, ids),
            events,
            application.outcome_codec(aggregate, ids),
            Processing(aggregate, events, partitions),
            fingerprint(aggregate, application.evolution),
        )


def id_of(record: Message) -> str:
    """Return the id of a command that has none of its own."""
    return implied_id(record.topic(), record.partition(), record.offset(), record.headers())


def dead_letter(record: Message, error: Exception) -> DeadLetter:
    """Return the dead letter of a record."""
    return DeadLetter(
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp()[1],
        record.key(),
        record.value(),
        record.headers() or (),
        type(error).__name__,
        str(error),
    )


def _wrong_key(command: Command[Any, Any] | AskOutcome, key: bytes | None) -> WrongKey:
    problem = f"the Kafka key is {key!r}, but the command is for {command.aggregate_id!r}: they must be the same"
    return WrongKey(problem)
