"""Walking: one partition's commands, outcomes and events side by side, as its owner wrote them.

The owner takes commands in order, and writes their events and outcomes in the same order. So the state that a command
met is the fold of the events before its own, and its own are the next ones that carry its id. Outcomes are kept for the
dedupe window only: where one is still there, it says more (a refusal leaves no event); where not, the events tell.

Promises: each command is met once, with the state that history had; a repeat, which was answered as before, is passed
over, and so is a question for an outcome; what somebody else put among the events and nobody can read breaks its
aggregate, as it does in the owner's recovery, and is counted; nothing is written but the memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Message

from schemas.asking import AskOutcome
from schemas.errors import DecodingError
from schemas.messages import Command
from schemas.metadata import CommandMetadata, EventMetadata, event_id
from schemas.outcomes import Outcome
from streams.kernel.errors import LogBroken
from streams.kernel.processing import FAILED
from streams.kernel.redeciding import Ending, read, recorded
from streams.kernel.remembering import remember
from streams.processor.lane import Lane, Unreadable, id_of
from streams.processor.memory import PartitionMemory
from streams.redeciding.ahead import Ahead


class Answer(NamedTuple):
    """An outcome in the log, with its bytes."""

    offset: int
    outcome: Outcome
    encoded: bytes


class Fact(NamedTuple):
    """An event in the log. `metadata`: None, if it cannot be read."""

    record: Message
    metadata: EventMetadata | None

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.record.value() or b""


class Met(NamedTuple):
    """A command, met as history met it: the memory has what was known before it."""

    record: Message
    command: Command[Any, Any] | Unreadable
    metadata: CommandMetadata
    command_id: str
    then: Ending
    time_ms: int


class Walk:
    """Goes through one partition.

    `repeated`: how many commands were passed over, because they had been answered.
    `foreign`: how many records among the events cannot be read and are of no outcome.
    """

    def __init__(
        self,
        lane: Lane,
        memory: PartitionMemory,
        commands: Iterable[Message],
        outcomes: Iterable[Message],
        events: Iterable[Message],
    ) -> None:
        """Take the three logs, each in its order, and an empty memory."""
        self.repeated = 0
        self.foreign = 0
        self._lane = lane
        self._memory = memory
        self._commands = commands
        self._outcomes = Ahead(map(self._answer, outcomes))
        self._events = Ahead(map(self._fact, events))

    def fold_before(self, offset: int) -> None:
        """Fold the events before an offset: those of commands that are not in the log any more."""
        while (fact := self._events.next) is not None and fact.record.offset() < offset:
            self._fold(self._events.take())
            if fact.metadata is not None:
                self._memory.learn_outcome(fact.metadata.command_id, fact.metadata.time_ms, b"")

    def pass_before(self, offset: int) -> None:
        """Pass over the outcomes before an offset, likewise: their commands may be sent again."""
        while (answer := self._outcomes.next) is not None and answer.offset < offset:
            told, encoded = self._outcomes.take()[1:]
            if told.status != FAILED:
                self._memory.learn_outcome(told.command_id, told.time_ms, encoded)

    def __iter__(self) -> Iterator[Met]:
        """Meet the commands. What the caller does with one, it does before the next."""
        for record in self._commands:
            self._memory.advance(record.timestamp()[1])
            asked = self._lane.read(record)
            command_id = asked.command_id or id_of(record)
            if isinstance(asked, Unreadable):
                command: Command[Any, Any] | Unreadable = asked
            elif isinstance(asked.command, AskOutcome):
                self._outcome_of(asked.command.asked_id, command_id)
                continue
            else:
                command = asked.command
            answer = self._outcome_of(command_id)
            own = list(self._own(command_id, answer))
            if self._is_repeat(command_id, answer, own):
                self.repeated += 1
                continue
            metadata = CommandMetadata(asked.command_id) if isinstance(asked, Unreadable) else asked.metadata
            then = recorded(answer and answer.outcome, read(self._lane.events, (each.data for each in own)))
            yield Met(record, command, metadata, command_id, then, _time_ms(record, answer, own))
            # Without an own id it is sent again only if it failed, whether or not its outcome is there to say so.
            nothing = answer is None and not own and metadata.command_id is None
            self._learn(record, None if nothing else command_id, answer, own)

    def left(self) -> Fact | None:
        """Return the next event that no command was met for."""
        return self._next_event(())

    def _outcome_of(self, *command_ids: str) -> Answer | None:
        """Take the next outcome if it is the answer to one of these."""
        answer = self._outcomes.next
        if answer is None or answer.outcome.command_id not in command_ids:
            return None
        return self._outcomes.take()

    def _own(self, command_id: str, answer: Answer | None) -> Iterator[Fact]:
        """Take the next events if they are this command's."""
        if answer is not None:
            for offset in answer.outcome.offsets:
                if (fact := self._next_event(answer.outcome.offsets)) is None or fact.record.offset() != offset:
                    return
                yield self._events.take()
            return
        number = 1
        while (fact := self._next_event(())) is not None and fact.metadata is not None:
            # Numbers begin anew if the same id was decided again after the dedupe window.
            if (fact.metadata.command_id, fact.metadata.event_id) != (command_id, event_id(command_id, number)):
                return
            number += 1
            yield self._events.take()

    def _next_event(self, expected: Sequence[int]) -> Fact | None:
        """Return the next event, past the ones that cannot be read and are not at an expected offset."""
        while (fact := self._events.next) is not None and fact.metadata is None:
            if fact.record.offset() in expected:
                break
            self.foreign += 1
            self._fold(self._events.take())
        return fact

    def _is_repeat(self, command_id: str, answer: Answer | None, own: list[Fact]) -> bool:
        if own:
            return False
        if answer is not None and answer.outcome.offsets:
            return True  # its events lie before: this is the second time that it was given
        known = self._memory.outcome(command_id)
        return known is not None and (answer is None or known in (answer.encoded, b""))

    def _learn(self, record: Message, command_id: str | None, answer: Answer | None, own: list[Fact]) -> None:
        for fact in own:
            self._fold(fact)
        if command_id is not None and (answer is None or answer.outcome.status != FAILED):
            time_ms = _time_ms(record, answer, own)
            self._memory.learn_outcome(command_id, time_ms, answer.encoded if answer else b"")
        self._memory.position[str(record.topic()), int(record.partition() or 0)] = int(record.offset() or 0) + 1
        if self._memory.is_full:
            self._memory.write()

    def _fold(self, fact: Fact) -> None:
        aggregate_id = (fact.record.key() or b"").decode(errors="replace")
        known = self._memory.known(aggregate_id)
        self._memory.learn(aggregate_id, remember(self._lane.aggregate, self._lane.events, known, fact.data))

    def _answer(self, record: Message) -> Answer:
        encoded = record.value() or b""
        try:
            return Answer(int(record.offset() or 0), self._lane.outcomes.decode(encoded), encoded)
        except DecodingError as error:
            place = f"{record.topic()} {record.partition()}@{record.offset()}"
            raise LogBroken(f"{place} is no outcome: {error}") from error

    def _fact(self, record: Message) -> Fact:
        try:
            return Fact(record, self._lane.events.decode_metadata(record.value() or b""))
        except DecodingError:
            return Fact(record, None)


def _time_ms(record: Message, answer: Answer | None, own: list[Fact]) -> int:
    """Return when a command was decided, or, where that is not kept, when it was asked."""
    if answer is not None:
        return answer.outcome.time_ms
    if own and own[0].metadata is not None:
        return own[0].metadata.time_ms
    return int(record.timestamp()[1])
