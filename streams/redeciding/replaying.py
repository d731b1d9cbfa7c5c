"""Decision replay: every recorded command through today's `decide`, each with the state that it met in history.

Theory of operation. What is decided and what was written for it is fixed first: the committed offset of the commands,
then the settled ends of events and outcomes (which so have everything of those commands), then the committed offset
again (which so is past everything that these have). Then each partition is walked, and each command decided on a work
that is thrown away, so that the next one meets history's state and not today's.

Promises: nothing is written but a scratch folder, which is removed; no group's offsets move; memory is bounded, states
that do not fit are in the scratch folder; code that has not changed makes no difference.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from confluent_kafka import Message

from schemas.errors import KafoldError
from schemas.position import Place
from schemas.provisional import ProvisionalIds
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kafka.ends import committed_offsets, marks_of, places_of, settled_ends
from streams.kafka.scanning import scan
from streams.kafka.topics import topic_ids
from streams.kernel.application import AnyAggregate, Application
from streams.kernel.errors import LogBroken, WrongKey
from streams.kernel.processing import FAILED, Decision, Known, Work
from streams.kernel.redeciding import NOT_KEPT, Ending, decided, differs
from streams.processor.lane import Lane, Unreadable, lanes
from streams.processor.local_state import LocalState
from streams.processor.memory import PartitionMemory
from streams.processor.processor import group_of
from streams.redeciding.beginning import first_own_event, first_own_outcome
from streams.redeciding.scope import Scope
from streams.redeciding.walking import Met, Walk

OnProgress = Callable[[int, int], None]


class NothingDecided(KafoldError):
    """No command has been decided yet, so there is no history: run a processor, or look at another cluster."""


class Redecided(NamedTuple):
    """A command that would end otherwise today. `command`: its type; of one that cannot be read, what was known."""

    aggregate: str
    aggregate_id: str
    place: Place
    offset: int
    command_id: str
    command: str
    time_ms: int
    then: Ending
    now: Ending


@dataclass(slots=True)
class Tally:
    """What was found. `not_kept`: how many left no events, and no outcome that is still there, and would leave none.

    `foreign`: records among the events that cannot be read and are of no outcome; their aggregates count as broken.
    `differing`: by kinds of endings, then and now. `begins`: where commands are gone, the first that is there.
    """

    decided: int = 0
    repeated: int = 0
    not_kept: int = 0
    foreign: int = 0
    differing: Counter[tuple[str, str]] = field(default_factory=Counter)
    begins: dict[Place, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is read. `decided`: up to where commands are asked about; `walked`: up to where they are gone through."""

    firsts: Mapping[Place, int]
    decided: Mapping[Place, int]
    walked: Mapping[Place, int]
    ends: Mapping[Place, int]


def redecide(
    application: Application,
    aggregates: Sequence[AnyAggregate],
    kafka: Kafka,
    ids: SchemaIds,
    scope: Scope,
    tally: Tally,
    *,
    dedupe_window_s: int,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Iterator[Redecided]:
    """Yield the commands that would end otherwise today, partition by partition; `tally` counts meanwhile.

    Raises:
        InvalidPosition: the scope speaks of a position that is not of these topics.
        LogBroken: the events are not those of the commands.
        NothingDecided: there is no history.
    """
    topics = [application.topics(each) for each in aggregates]
    commands = places_of(kafka, [each.commands for each in topics])
    cut = _cut(kafka, group_of(application), commands, [log for each in topics for log in (each.events, each.outcomes)])
    scope.check(cut.decided, topic_ids(kafka, [each.commands for each in topics]))
    partitions = len(commands) // len(topics)
    before, total = 0, sum(cut.walked.values())
    for lane in lanes(application, ProvisionalIds(ids), partitions):
        if lane.aggregate not in aggregates:
            continue
        for partition in range(partitions):
            place = lane.topics.commands, partition
            with TemporaryDirectory(prefix="kafold-decisions-") as folder:
                yield from _Partition(lane, place, kafka, cut, Path(folder), dedupe_window_s).redecide(
                    scope, tally, _after(before, total, on_progress)
                )
            before += cut.walked[place]


def _cut(kafka: Kafka, group: str, commands: Sequence[Place], logs: Sequence[str]) -> _Cut:
    decided_ends = committed_offsets(kafka, group, commands)
    if not any(decided_ends.values()):
        raise NothingDecided(f"group {group} has decided no command: there is no history to compare with")
    ends = settled_ends(kafka, places_of(kafka, logs))
    walked = committed_offsets(kafka, group, commands)
    return _Cut({place: low for place, (low, _) in marks_of(kafka, commands).items()}, decided_ends, walked, ends)


class _Undecided(NamedTuple):
    """The memory without its outcomes, so that a command is decided and not answered. It implements Memory."""

    memory: PartitionMemory

    def known(self, aggregate_id: str) -> Known | None:
        return self.memory.known(aggregate_id)

    def outcome(self, command_id: str) -> bytes | None:
        del command_id
        return None


class _Partition:
    """One commands partition, redecided."""

    def __init__(self, lane: Lane, place: Place, kafka: Kafka, cut: _Cut, folder: Path, dedupe_window_s: int) -> None:
        self._lane = lane
        self._place = place
        self._kafka = kafka
        self._cut = cut
        self._folder = folder
        self._window_ms = dedupe_window_s * 1000

    def redecide(self, scope: Scope, tally: Tally, on_progress: OnProgress) -> Iterator[Redecided]:
        first, end = self._cut.firsts[self._place], self._cut.walked[self._place]
        with (
            closing(PartitionMemory(LocalState(self._folder / "memory", {}), self._window_ms)) as memory,
            closing(scan(self._kafka, {self._place: end}, on_progress)) as commands,
            closing(self._log(self._lane.topics.outcomes)) as outcomes,
            closing(self._log(self._lane.topics.events)) as events,
        ):
            walk = Walk(self._lane, memory, commands, outcomes, events)
            if first > 0:
                tally.begins[self._place] = first
                walk.fold_before(self._first_own_event(end))
                walk.pass_before(self._first_own_outcome())
            for met in walk:
                if met.record.offset() < self._cut.decided[self._place] and scope.has(met.record):
                    yield from self._judge(met, memory, tally)
            left = walk.left()
            tally.repeated += walk.repeated
            tally.foreign += walk.foreign
            if left is not None:
                raise _orphan(left.record, self._place[0])

    def _log(self, topic: str) -> Generator[Message]:
        place = topic, self._place[1]
        return scan(self._kafka, {place: self._cut.ends[place]})

    def _first_own_event(self, end: int) -> int:
        with (
            closing(scan(self._kafka, {self._place: end})) as commands,
            closing(self._log(self._lane.topics.events)) as events,
        ):
            return first_own_event(self._lane, self._folder / "beginning", commands, events)

    def _first_own_outcome(self) -> int:
        with (
            closing(scan(self._kafka, {self._place: self._cut.decided[self._place]})) as commands,
            closing(self._log(self._lane.topics.outcomes)) as outcomes,
        ):
            return first_own_outcome(self._lane, commands, outcomes)

    def _judge(self, met: Met, memory: PartitionMemory, tally: Tally) -> Iterator[Redecided]:
        tally.decided += 1
        now = self._now(met, memory)
        if not differs(met.then, now):
            tally.not_kept += met.then.kind == NOT_KEPT
            return
        tally.differing[met.then.kind, now.kind] += 1
        key = (met.record.key() or b"").decode(errors="backslashreplace")
        command = "unreadable" if isinstance(met.command, Unreadable) else type(met.command).__name__
        offset = int(met.record.offset() or 0)
        yield Redecided(
            self._lane.aggregate.name, key, self._place, offset, met.command_id, command, met.time_ms, met.then, now
        )

    def _now(self, met: Met, memory: PartitionMemory) -> Ending:
        if isinstance(met.command, Unreadable):
            return Ending(FAILED, (), f"{met.command.letter.error}: {met.command.letter.reason}")
        work, processing = Work(self._place[1], _Undecided(memory)), self._lane.processing
        try:
            decision = processing.process(work, met.command, met.metadata, met.command_id, met.time_ms)
        except WrongKey as error:
            return Ending(FAILED, (), f"WrongKey: {error}")
        if not isinstance(decision, Decision):
            raise TypeError(f"{met.command_id} was answered and not decided")
        return decided(decision, self._lane.events)


def _after(before: int, total: int, on_progress: OnProgress) -> OnProgress:
    """Return what tells of one partition's progress as part of the whole."""
    return lambda done, _total: on_progress(before + done, total)


def _orphan(event: Message, commands: str) -> LogBroken:
    place = f"{event.topic()} {event.partition()}@{event.offset()}"
    return LogBroken(
        f"the event at {place} is of no command in {commands}, or out of order: what was decided after it is unknown"
    )
