"""Processes: what the process managers of an application read, and how their commands are written.

A process manager has two checkpoints on each partition that it reads. Up to `decided` its states are folded, with the
commands that followed in the outbox; up to its own, which is the one that people see, Kafka has acknowledged them.

Promises: what lies before its own checkpoint is never sent, so that to fold it again, or for the first time, is silent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.codec import MessageCodec
from schemas.messages import Command
from schemas.metadata import CommandMetadata
from schemas.outcomes import Accepted, Outcome, OutcomeCodec, Rejected, answer_of
from schemas.position import Position
from schemas.registry import SchemaIds
from streams.kernel.application import AnyAggregate, AnyProcessManager, Application
from streams.kernel.reacting import Encoded
from streams.postgres.checkpoints import Reader
from streams.postgres.parking import code_of
from streams.postgres.tables import table_of
from streams.worker.source import TableReader


@dataclass(frozen=True, slots=True)
class ProcessReader(TableReader):
    """A process manager as a reader."""

    decided: Reader
    manager: AnyProcessManager


@dataclass(frozen=True, slots=True)
class ProcessSource:
    """One topic that process managers read: events, or `answers`, which are outcomes."""

    topic: str
    decode: Any
    answers: bool
    readers: Sequence[ProcessReader]


class CommandWriter:
    """The codecs of the commands that an application's process managers send."""

    def __init__(self, application: Application, ids: SchemaIds) -> None:
        """Take the codecs of every commands topic."""
        takers = {aggregate.name: aggregate for aggregate in application.aggregates}
        self._codecs: dict[str, MessageCodec[Any, CommandMetadata]] = {
            application.topics(each).commands: application.command_codec(each, ids) for each in takers.values()
        }
        self._topics = {
            command: application.topics(each).commands for each in takers.values() for command in each.command_types
        }

    def encode(self, command: Command[Any, Any], metadata: CommandMetadata) -> Encoded:
        """Return a command as it goes to Kafka.

        Raises:
            EncodingError: a value does not fit its schema.
        """
        topic = self._topics[type(command)]
        return Encoded(topic, command.aggregate_id.encode(), self._codecs[topic].encode(command, metadata))

    def decode(self, topic: str, data: bytes) -> Command[Any, Any]:
        """Return a command that was sent to a topic."""
        command: Command[Any, Any] = self._codecs[topic].decode(data)[0]
        return command


def answer(command: Command[Any, Any], outcome: Outcome, events: str, partition: int) -> Accepted[Any] | Rejected[Any]:
    """Return the typed answer in an outcome; `events`: the topic of the events that it may speak of."""
    reached = {(events, partition): outcome.offsets[-1] + 1} if outcome.offsets else {}
    return answer_of(outcome, type(command), Position(reached))


def readers_of(manager: AnyProcessManager) -> tuple[Reader, Reader]:
    """Return a process manager's own reader, and the one of what it has decided (a name that nothing else can have)."""
    return Reader(manager.name, manager.version), Reader(f"{manager.name} (decided)", manager.version)


def process_topics(application: Application) -> dict[str, list[AnyProcessManager]]:
    """Return the topics that process managers read, each with those who do, by name."""
    topics: dict[str, list[AnyProcessManager]] = {}
    for manager in sorted(application.process_managers, key=lambda each: each.name):
        for aggregate in application.aggregates:
            names = application.topics(aggregate)
            if manager.event_types & set(aggregate.event_types):
                topics.setdefault(names.events, []).append(manager)
            if manager.awaited_types & set(aggregate.command_types):
                topics.setdefault(names.outcomes, []).append(manager)
    return topics


def process_sources(application: Application, ids: SchemaIds) -> Mapping[str, ProcessSource]:
    """Return what the application's process managers read, by topic."""
    readers = {each.name: _reader(application.name, each) for each in application.process_managers}
    wanted = process_topics(application)
    made = {}
    for aggregate in application.aggregates:
        for topic, decode, answers in _decoders(application, aggregate, ids):
            if topic in wanted:
                made[topic] = ProcessSource(topic, decode, answers, [readers[each.name] for each in wanted[topic]])
    return made


def _reader(application: str, manager: AnyProcessManager) -> ProcessReader:
    reader, decided = readers_of(manager)
    return ProcessReader(reader, table_of(application, manager), code_of(manager.react), decided, manager)


def _decoders(application: Application, aggregate: AnyAggregate, ids: SchemaIds) -> list[tuple[str, Any, bool]]:
    names = application.topics(aggregate)
    return [
        (names.events, application.event_codec(aggregate, ids).decode, False),
        (names.outcomes, _as_fact(application.outcome_codec(aggregate, ids)), True),
    ]


def _as_fact(codec: OutcomeCodec) -> Any:
    def decode(data: bytes) -> tuple[Outcome, Outcome]:
        outcome = codec.decode(data)
        return outcome, outcome

    return decode
