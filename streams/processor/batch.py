"""A batch: the commands that are decided together and committed in one transaction.

Promises: commands of one partition are decided in their order; an answer that was given before is given again, the same
bytes; nothing outside the batch changes until `committed` is called.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from confluent_kafka import Message

from schemas.asking import AskOutcome
from schemas.dead_letters import DeadLetter
from schemas.position import Place
from streams.kernel.errors import WrongKey
from streams.kernel.processing import FAILED, Decision, Work
from streams.processor.lane import Lane, Unreadable, dead_letter
from streams.processor.local_state import Remembered
from streams.processor.memory import PartitionMemory
from streams.processor.transactions import Headers, Transactions
from streams.watching.spans import HEADER, DecideSpan, traceparent
from streams.watching.spans import is_on as spans_on

REPEATED = "repeated"


@dataclass(slots=True)
class Owned:
    """A partition that this processor owns: what it knows, and the offset of the next command to take."""

    lane: Lane
    partition: int
    memory: PartitionMemory
    next_offset: int


@dataclass(slots=True)
class Part:
    """One partition's share of a batch."""

    owned: Owned
    work: Work
    next_offset: int
    answers: list[tuple[bytes, Decision | bytes]] = field(default_factory=list)
    outcome_offsets: list[int] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    final: dict[str, Remembered] = field(default_factory=dict)
    spans: dict[str, DecideSpan] = field(default_factory=dict)  # by command id, of commands that carry a traceparent

    def span_of(self, answer: Decision | bytes) -> DecideSpan | None:
        """Return the span that an answer belongs to; one that was given before has none."""
        return None if isinstance(answer, bytes) else self.spans.get(answer.outcome.command_id)

    def end_spans(self) -> None:
        """End the spans, because the transaction has committed."""
        if self.spans:
            statuses = {
                answer.outcome.command_id: answer.outcome.status
                for _, answer in self.answers
                if isinstance(answer, Decision)
            }
            for command_id, span in self.spans.items():
                span.end(statuses.get(command_id, REPEATED))

    def log_position(self) -> dict[Place, int]:
        """Return how far the partition's events and outcomes go with this part, which is known once it is committed."""
        topics, partition = self.owned.lane.topics, self.owned.partition
        events = [offset for each in self.work.decisions.values() for offset in each.outcome.offsets[-1:]]
        position = {(topics.events, partition): events[-1] + 1} if events else {}
        if self.outcome_offsets:
            position[topics.outcomes, partition] = self.outcome_offsets[-1] + 1
        return position


class Batch:
    """Decides records, writes what was decided into a transaction, and afterwards makes it known."""

    def __init__(self, dead_letters_topic: str, now_ms: int) -> None:
        """`now_ms`: the time that the batch's events and outcomes record."""
        self._dead_letters_topic = dead_letters_topic
        self._now_ms = now_ms
        self._parts: dict[Place, Part] = {}

    def decide(self, records: Iterable[Message], owned: Mapping[Place, Owned]) -> int:
        """Decide the records of the owned partitions, in order; return how many there were."""
        count = 0
        for record in records:
            place = record.topic(), record.partition()
            home = owned.get(place)
            if home is None:
                continue
            part = self._parts.get(place)
            if part is None:
                part = self._parts[place] = Part(home, Work(home.partition, home.memory), home.next_offset)
            if record.offset() >= part.next_offset:
                part.next_offset = record.offset() + 1
                self._decide(part, record)
                count += 1
        return count

    def write(self, transactions: Transactions) -> None:
        """Put everything that was decided into the open transaction: events, then, with their offsets, the outcomes."""
        if self._write_events(transactions):
            transactions.flush()
        for part in self._parts.values():
            self._write_outcomes(part, transactions)
            for letter in part.dead_letters:
                record = letter.key, letter.value
                transactions.produce(self._dead_letters_topic, part.owned.partition, [record], letter.to_headers())

    @property
    def parts(self) -> Iterable[Part]:
        """Each partition's share."""
        return self._parts.values()

    def consumed(self) -> dict[Place, int]:
        """Return, by partition, the offset to go on from."""
        return {place: part.next_offset for place, part in self._parts.items()}

    def committed(self) -> None:
        """Make known what was decided, because its transaction has committed."""
        for part in self._parts.values():
            part.end_spans()
            part.owned.memory.commit(part.work, part.final, part.log_position())
            part.owned.next_offset = part.next_offset

    def _decide(self, part: Part, record: Message) -> None:
        lane = part.owned.lane
        asked = lane.read(record)
        if isinstance(asked, Unreadable):
            self._refuse(part, record, asked)
            return
        if isinstance(asked.command, AskOutcome):
            answer = lane.processing.recall(part.work, asked.command, asked.command_id, self._now_ms)
            part.answers.append((record.key(), answer))
            return
        if (parent := traceparent(record.headers())) is not None:
            about = {"kafold.command": type(asked.command).__name__, "kafold.command_id": asked.command_id}
            part.spans[asked.command_id] = DecideSpan(parent, spans_on(), about)
        try:
            answer = lane.processing.process(part.work, asked.command, asked.metadata, asked.command_id, self._now_ms)
        except WrongKey as error:
            self._refuse(part, record, Unreadable(dead_letter(record, error), asked.metadata.command_id))
            return
        part.answers.append((record.key(), answer))
        if isinstance(answer, Decision) and answer.outcome.status is FAILED:
            part.dead_letters.append(dead_letter(record, RuntimeError(answer.outcome.reason)))

    def _refuse(self, part: Part, record: Message, unreadable: Unreadable) -> None:
        """Keep what is no command as a dead letter, and tell whoever waits for it, if its id is known."""
        letter, command_id = unreadable
        part.dead_letters.append(letter)
        if command_id is not None:
            reason = f"{letter.error}: {letter.reason}"
            answer = part.owned.lane.processing.misread(part.work, command_id, reason, self._now_ms)
            part.answers.append((record.key() or b"", answer))

    def _write_events(self, transactions: Transactions) -> int:
        count = 0
        for part in self._parts.values():
            for headers, decisions in _runs(part):
                # The work holds each decision once, a repeat within the batch is only another answer.
                events = [
                    (decision.key, event, decision.outcome.offsets)
                    for decision in decisions
                    for event in decision.events
                ]
                transactions.produce_events(part.owned.lane.topics.events, part.owned.partition, events, headers)
                count += len(events)
        return count

    def _write_outcomes(self, part: Part, transactions: Transactions) -> None:
        encode, records = part.owned.lane.outcomes.encode, list[tuple[bytes, bytes]]()
        for key, answer in part.answers:
            if isinstance(answer, bytes):
                records.append((key, answer))
                continue
            encoded = encode(answer.outcome)
            records.append((key, encoded))
            if answer.outcome.status is not FAILED:
                part.final[answer.outcome.command_id] = Remembered(self._now_ms, encoded)
        if records:
            topic, partition = part.owned.lane.topics.outcomes, part.owned.partition
            if part.spans:
                headers = [_carried(part.span_of(answer)) for _, answer in part.answers]
                for record, carried in zip(records[:-1], headers, strict=False):
                    transactions.produce(topic, partition, [record], carried)
                transactions.produce_last(topic, partition, *records[-1], part.outcome_offsets, headers[-1])
                return
            transactions.produce(topic, partition, records[:-1])
            transactions.produce_last(topic, partition, *records[-1], part.outcome_offsets)


def _runs(part: Part) -> Iterator[tuple[Headers, Iterable[Decision]]]:
    """Yield the decisions in order, in runs whose events have the same headers; nearly always in one."""
    decisions = part.work.decisions
    if not part.spans:
        yield [], decisions.values()
        return
    for span, run in groupby(decisions.values(), part.span_of):
        yield _carried(span), list(run)


def _carried(span: DecideSpan | None) -> Headers:
    return [] if span is None else [(HEADER, span.carried)]
