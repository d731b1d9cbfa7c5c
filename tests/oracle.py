"""The oracle: what must hold of the log, whatever happened to the processes that wrote it.

Every acknowledged command is in the log exactly once; versions are 1..n for each aggregate, without gap or duplicate; a
refused command left no event; an outcome's offsets are those of its events. And beyond these: the events and outcomes
are those of the **reference**, a decider that takes the commands one by one, in the order in which Kafka has them, with
nothing of the processor's.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.appending import AppendEvents
from schemas.messages import Event
from schemas.outcomes import Outcome, Rejected, Status
from streams.kernel.aggregate import Aggregate
from streams.kernel.application import AnyAggregate
from tests.log import Answered, Asked, Log, Recorded


class Fact(NamedTuple):
    """An event as the reference decides it: no offset, no time."""

    command_id: str
    version: int
    event: Event


class Reference:
    """Decides commands one by one, and keeps the facts and the status of each command id."""

    def __init__(self, aggregate: AnyAggregate, appended: Mapping[str, Sequence[Event]]) -> None:
        """`appended`: what the log has of each command id, for events that were decided elsewhere."""
        self._aggregate: Aggregate[Any, Any, Any] = aggregate
        self._appended = appended
        self._states: dict[str, tuple[Any, int]] = {}
        self.statuses: dict[str, Status] = {}
        self.facts: list[Fact] = []

    def take(self, asked: Asked) -> None:
        """Decide a command, unless its id was decided; what raises may be asked again."""
        if asked.command_id in self.statuses:
            return
        state, version = self._states.get(asked.command.aggregate_id, (self._aggregate.initial, 0))
        if asked.metadata.expected_version not in (None, version):
            self.statuses[asked.command_id] = Status.CONFLICT
            return
        try:
            decided = self._decided(state, asked)
        except Exception:  # noqa: BLE001 - the application's code; its commands have failed
            return
        if isinstance(decided, Rejected):
            self.statuses[asked.command_id] = Status.REJECTED
            return
        self.statuses[asked.command_id] = Status.ACCEPTED
        self.facts += [Fact(asked.command_id, version + n, event) for n, event in enumerate(decided, 1)]
        if decided:
            after = self._aggregate.fold(decided, state), version + len(decided)
            self._states[asked.command.aggregate_id] = after

    def _decided(self, state: Any, asked: Asked) -> Any:
        if isinstance(asked.command, AppendEvents):
            return self._appended.get(asked.command_id) or Rejected("refused")
        return self._aggregate.decide(state, asked.command)


def check_versions(events: Iterable[Recorded]) -> None:
    """Versions are 1..n within each aggregate, in the order of the log."""
    versions: dict[str, list[int]] = defaultdict(list)
    for each in events:
        versions[each.event.aggregate_id].append(each.metadata.version)
    wrong = {key: found for key, found in versions.items() if found != list(range(1, len(found) + 1))}
    assert not wrong, f"versions are not 1..n: {dict(list(wrong.items())[:3])}"


def check_one_answer(outcomes: Iterable[Answered]) -> Mapping[str, Outcome]:
    """A command id has one final outcome, however often it was written; return the outcomes by command id."""
    final: dict[str, Outcome] = {}
    for each in outcomes:
        if each.outcome.status != Status.FAILED:
            before = final.setdefault(each.outcome.command_id, each.outcome)
            assert before == each.outcome, f"{each.outcome.command_id} has two outcomes: {before} and {each.outcome}"
    return final


def check_events_match(events: Iterable[Recorded], outcomes: Mapping[str, Outcome]) -> None:
    """Each accepted command's events are in the log exactly once, where its outcome says; no other events are."""
    by_command: dict[str, list[int]] = defaultdict(list)
    for each in events:
        by_command[each.metadata.command_id].append(each.offset)
    promised = {key: list(outcome.offsets) for key, outcome in outcomes.items() if outcome.offsets}
    orphans = by_command.keys() - promised.keys()
    assert not orphans, f"{len(orphans)} commands have events without an accepted outcome: {sorted(orphans)[:3]}"
    assert by_command == promised
    for key, outcome in outcomes.items():
        assert outcome.status == Status.ACCEPTED or not outcome.offsets, f"{key} was refused and has events"


def check_reference(log: Log, outcomes: Mapping[str, Outcome]) -> None:
    """Every partition has the events that the reference decides from its commands, and every id its status."""
    appended: dict[str, list[Event]] = defaultdict(list)
    for each in log.events:
        appended[each.metadata.command_id].append(each.event)
    reference = Reference(log.aggregate, appended)
    for asked in log.commands:
        reference.take(asked)
    statuses = {key: Status(outcome.status) for key, outcome in outcomes.items()}
    wrong = {key: (status, statuses.get(key)) for key, status in reference.statuses.items()}
    wrong = {key: (due, found) for key, (due, found) in wrong.items() if due != found}
    assert not wrong, f"{len(wrong)} commands ended otherwise than the reference says: {dict(list(wrong.items())[:3])}"
    found = [Fact(each.metadata.command_id, each.metadata.version, each.event) for each in log.events]
    first = next((pair for pair in zip(reference.facts, found, strict=False) if pair[0] != pair[1]), None)
    assert first is None, f"the reference decides {first[0]}, the log has {first[1]}"
    assert len(found) == len(reference.facts)


def check_log(log: Log, asked: Iterable[str]) -> None:
    """Everything of the above; `asked`: the ids of all commands that Kafka took, each of which must be answered."""
    check_versions(log.events)
    final = check_one_answer(log.outcomes)
    check_events_match(log.events, final)
    unanswered = set(asked) - final.keys()
    assert not unanswered, f"{len(unanswered)} commands have no answer, such as {sorted(unanswered)[:3]}"
    repeated = [key for key, count in Counter(each.metadata.event_id for each in log.events).items() if count > 1]
    assert not repeated, f"events are in the log twice: {repeated[:3]}"
    check_reference(log, final)
