"""A batch: the commands that are decided together and committed in one transaction.

It is decided in chunks, so that Kafka takes the events of one while the next is decided. Outcomes follow at once where
it is known where the events' partition ends (see `ends`), else when their events are delivered.

Promises: commands of one partition are decided in their order, and so are their events and outcomes written; an answer
that was given before is given again, the same bytes; what is known changes only when `committed` is called.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import NamedTuple

from confluent_kafka import Message

from schemas.asking import AskOutcome
from schemas.dead_letters import DeadLetter
from schemas.position import Place
from streams.kernel.errors import WrongKey
from streams.kernel.processing import FAILED, Decision, Work, new_tuple
from streams.processor.lane import Lane, Unreadable, dead_letter
from streams.processor.local_state import Remembered
from streams.processor.memory import PartitionMemory
from streams.processor.run import Run
from streams.processor.transactions import Headers, Record, Transactions
from streams.watching.spans import HEADER, DecideSpan, traceparent
from streams.watching.spans import is_on as spans_on

REPEATED = "repeated"
CHUNK_COMMANDS = 500


@dataclass(slots=True)
class Owned:
    """A partition that this processor owns: what it knows, and the offset of the next command to take."""

    lane: Lane
    partition: int
    memory: PartitionMemory
    next_offset: int


class Sent(NamedTuple):
    """Events under way: `decisions` have them, and the part's outcomes up to `answers` wait for their offsets."""

    runs: Sequence[tuple[Run, Sequence[Decision]]]
    answers: int


@dataclass(slots=True)
class Part:
    """One partition's share of a batch. `decisions_sent`, `answers_written`: how many of them, so far."""

    owned: Owned
    work: Work
    next_offset: int
    answers: list[tuple[bytes, Decision | bytes]] = field(default_factory=list)
    sent: deque[Sent] = field(default_factory=deque)
    decisions_sent: int = 0
    answers_written: int = 0
    events: Run | None = None  # the last one
    event_count: int = 0
    outcomes: Run | None = None
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
        runs = {(topics.events, partition): self.events, (topics.outcomes, partition): self.outcomes}
        return {place: run.end for place, run in runs.items() if run is not None}

    def take_decisions(self) -> list[Decision]:
        """Return the decisions since the last time. The work holds each once, a repeat is only another answer."""
        taken = list(islice(self.work.decisions.values(), self.decisions_sent, None))
        self.decisions_sent += len(taken)
        return taken


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
            part = self._parts.get(place)
            if part is None:
                home = owned.get(place)
                if home is None:
                    continue
                part = self._parts[place] = Part(home, Work(home.partition, home.memory), home.next_offset)
            offset = record.offset()
            if offset >= part.next_offset:
                part.next_offset = offset + 1
                self._decide(part, record)
                count += 1
        return count

    def send(self, transactions: Transactions) -> None:
        """Put new events into the open transaction, and the outcomes of those whose offsets it tells by now."""
        for part in self._parts.values():
            runs = self._send_events(part, transactions)
            part.sent.append(Sent(runs, len(part.answers)))
        transactions.poll()
        for part in self._parts.values():
            self._write_outcomes(part, transactions)

    def finish(self, transactions: Transactions) -> None:
        """Put everything else into the open transaction: the outcomes that are left, and dead letters."""
        if any(part.sent for part in self._parts.values()):
            transactions.flush()
        for part in self._parts.values():
            self._write_outcomes(part, transactions, everything=True)
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
            part.owned.memory.commit(part.work, part.final, part.log_position(), part.event_count)
            part.owned.next_offset = part.next_offset

    def _decide(self, part: Part, record: Message) -> None:
        lane = part.owned.lane
        asked = lane.read(record)
        if isinstance(asked, Unreadable):
            self._refuse(part, record, asked)
            return
        command, metadata, command_id = asked
        if isinstance(command, AskOutcome):
            answer = lane.processing.recall(part.work, command, command_id, self._now_ms)
            part.answers.append((record.key(), answer))
            return
        headers = record.headers()
        if headers and (parent := traceparent(headers)) is not None:
            about = {"kafold.command": type(command).__name__, "kafold.command_id": command_id}
            part.spans[command_id] = DecideSpan(parent, spans_on(), about)
        try:
            answer = lane.processing.process(part.work, command, metadata, command_id, self._now_ms)
        except WrongKey as error:
            self._refuse(part, record, Unreadable(dead_letter(record, error), metadata.command_id))
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

    def _send_events(self, part: Part, transactions: Transactions) -> list[tuple[Run, Sequence[Decision]]]:
        topic, partition = part.owned.lane.topics.events, part.owned.partition
        runs: list[tuple[Run, Sequence[Decision]]] = []
        for headers, decisions in _by_headers(part, part.take_decisions()):
            events = [(decision.key, event) for decision in decisions for event in decision.events]
            if events:
                part.events = transactions.produce(topic, partition, events, headers, early=True)
                part.event_count += len(events)
                runs.append((part.events, decisions))
        return runs

    def _write_outcomes(self, part: Part, transactions: Transactions, *, everything: bool = False) -> None:
        """Write outcomes in their order, up to the first one that waits for its events' offsets."""
        begin = part.answers_written
        while part.sent and (everything or all(run.has_offsets for run, _ in part.sent[0].runs)):
            runs, part.answers_written = part.sent.popleft()
            for run, decisions in runs:
                _tell_offsets(decisions, transactions.offsets_of(run))
        records = self._outcome_records(part, begin, part.answers_written)
        topic, partition = part.owned.lane.topics.outcomes, part.owned.partition
        if not part.spans:
            if records:
                part.outcomes = transactions.produce(topic, partition, records)
            return
        for (_, answer), record in zip(part.answers[begin : part.answers_written], records, strict=True):
            part.outcomes = transactions.produce(topic, partition, [record], _carried(part.span_of(answer)))

    def _outcome_records(self, part: Part, begin: int, end: int) -> list[Record]:
        encode, final = part.owned.lane.outcomes.encode, part.final
        records: list[Record] = []
        for key, answer in part.answers[begin:end]:
            if isinstance(answer, bytes):
                records.append((key, answer))
                continue
            outcome = answer.outcome
            encoded = encode(outcome)
            records.append((key, encoded))
            if outcome.status is not FAILED:
                final[outcome.command_id] = new_tuple(Remembered, (self._now_ms, encoded))
        return records


def chunks(records: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Yield the records of a batch in the chunks to decide and send."""
    for at in range(0, len(records), CHUNK_COMMANDS):
        yield records[at : at + CHUNK_COMMANDS]


def _tell_offsets(decisions: Iterable[Decision], offsets: Iterable[int]) -> None:
    """Give the decisions the offsets of their events."""
    following = iter(offsets)
    for decision in decisions:
        decision.outcome.offsets.extend(islice(following, len(decision.events)))


def _by_headers(part: Part, decisions: list[Decision]) -> Iterator[tuple[Headers, list[Decision]]]:
    """Yield the decisions in order, grouped by what headers their events have; nearly always one group."""
    if not part.spans:
        yield [], decisions
        return
    for span, group in groupby(decisions, part.span_of):
        yield _carried(span), list(group)


def _carried(span: DecideSpan | None) -> Headers:
    return [] if span is None else [(HEADER, span.carried)]
