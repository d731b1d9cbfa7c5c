"""A contract: what one aggregate type publishes, its messages on its topics.

It is all that a producer of commands needs, and all that a registry must know before the topics are used.

Promises: pure data; from it alone every topic, subject, schema and codec of the aggregate follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.appending import AppendEvents
from schemas.asking import AskOutcome
from schemas.codec import NO_EVOLUTION, MessageCodec, command_codec, event_codec
from schemas.errors import DefinitionError
from schemas.history import record_of
from schemas.messages import PLATFORM, Command, Event, Message
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import OUTCOME, OUTCOME_SCHEMA, OutcomeCodec
from schemas.registry import Registry, SchemaIds, canonical
from schemas.shape import RecordShape
from schemas.topics import AggregateTopics
from schemas.upcasting import Evolution

PLATFORM_RECORDS = (AppendEvents, AskOutcome)  # on every commands topic
OUTCOME_RECORD = record_of(OUTCOME_SCHEMA)


@dataclass(frozen=True)
class Contract:
    """One aggregate type's topics and message types."""

    topics: AggregateTopics
    commands: tuple[type[Command[Any, Any]], ...]
    events: tuple[type[Event], ...]
    evolution: Evolution = NO_EVOLUTION

    def command_codec(self, ids: SchemaIds) -> MessageCodec[Any, CommandMetadata]:
        """Return the codec of the commands topic, or raise DefinitionError: a past version cannot be read."""
        self.check()
        return self._command_codec(ids)

    def event_codec(self, ids: SchemaIds) -> MessageCodec[Any, EventMetadata]:
        """Return the codec of the events topic, or raise DefinitionError: a past version cannot be read."""
        self.check()
        return self._event_codec(ids)

    def _command_codec(self, ids: SchemaIds) -> MessageCodec[Any, CommandMetadata]:
        types: tuple[type[Message], ...] = (*self.commands, *PLATFORM_RECORDS)
        return command_codec(self.topics.commands, self.topics.namespace, types, ids, self.evolution)

    def _event_codec(self, ids: SchemaIds) -> MessageCodec[Any, EventMetadata]:
        return event_codec(self.topics.events, self.topics.namespace, self.events, ids, self.evolution)

    def outcome_codec(self, ids: SchemaIds) -> OutcomeCodec:
        """Return the codec of the outcomes topic."""
        return OutcomeCodec(self.topics.outcomes, ids)

    def subjects(self) -> Mapping[str, str]:
        """Return each subject with its schema as JSON text: what must be registered."""
        nowhere = Registry()
        return {
            **self._command_codec(nowhere).subjects(),
            **self._event_codec(nowhere).subjects(),
            self.outcome_codec(nowhere).subject: canonical(OUTCOME_SCHEMA),
        }

    def records(self) -> Mapping[str, RecordShape]:
        """Return the shape of each message by its name in the history: the aggregate's (or the platform's) and its own.

        The platform's own messages are versioned like the application's: they lie in the same log for as long.
        """
        nowhere = Registry()
        shapes = [*self._command_codec(nowhere).shapes.values(), *self._event_codec(nowhere).shapes.values()]
        return {**{record_of(shape.schema): shape for shape in shapes}, OUTCOME_RECORD: OUTCOME}

    def check(self) -> None:
        """Check that every past version leads to a class of today.

        Raises:
            DefinitionError: one does not; the text names it and its field.
        """
        own = (f"{self.topics.aggregate}.", f"{PLATFORM}.")
        lost = [each for each in self.evolution.check(self.records()) if each.startswith(own)]
        if lost:
            raise DefinitionError(f"{lost[0]}; write an upcaster (`kafold schemas check` tells all)")
