"""The step function as a state machine: whatever is asked, in whatever order, committed or forgotten.

The model is a few lines of Python: totals and versions by counter, and the answer of each command id. Beside it, three
things must always hold: folding the log's events one by one (`remember`) gives what the step made incrementally; the
log's versions are 1..n; one command id has one final answer.
"""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from schemas.metadata import CommandMetadata
from schemas.outcomes import Outcome, Status
from streams.kernel.application import Application
from streams.kernel.bus import DictMemory, registry_of
from streams.kernel.errors import LogBroken, WrongKey
from streams.kernel.partitioner import partition_of
from streams.kernel.processing import Decision, Known, Processing, Work
from streams.kernel.remembering import remember
from tests.kernel.counters import LIMIT, Add, Counter, Split, Weather, counter_under

PARTITIONS = 3
HOME = 0
COUNTERS_AT_HOME = [name for name in map("c{}".format, range(30)) if partition_of(name.encode(), PARTITIONS) == HOME]
NAMES = st.sampled_from(COUNTERS_AT_HOME[:4])
AMOUNTS = st.integers(0, 40)
NOW_MS = 1_000


class Step(RuleBasedStateMachine):
    """Commands on a few counters of one partition, in works that commit or are forgotten."""

    asked_ids = Bundle("asked_ids")

    @initialize()
    def start(self) -> None:
        self.weather = Weather()
        self.counter = counter_under(self.weather)
        application = Application("counters", aggregates=[self.counter])
        ids = registry_of(application)
        self.codec = application.event_codec(self.counter, ids)
        self.outcomes = application.outcome_codec(self.counter, ids)
        self.processing = Processing(self.counter, self.codec, PARTITIONS)
        self.memory = DictMemory()
        self.work = Work(HOME, self.memory)
        self.log: list[tuple[str, bytes]] = []
        self.numbers = 0
        # The model: of what is committed, and of what the open work has added.
        self.totals: dict[str, tuple[int, int]] = {}
        self.answers: dict[str, Outcome] = {}
        self.staged_totals: dict[str, tuple[int, int]] = {}
        self.staged_answers: dict[str, Outcome] = {}

    @rule(target=asked_ids, name=NAMES, amount=AMOUNTS, split=st.booleans(), offset=st.none() | st.integers(-2, 2))
    def ask(self, name: str, amount: int, split: bool, offset: int | None) -> str:
        """Ask something new; `offset`: what the expected version is beside the actual one."""
        self.numbers += 1
        command_id = f"n{self.numbers}"
        total, version = self.staged_totals.get(name) or self.totals.get(name) or (0, 0)
        expected = None if offset is None else max(0, version + offset)
        command = Split(counter_id=name, amount=amount) if split else Add(counter_id=name, amount=amount)
        outcome, events = self.answered(command, CommandMetadata(command_id, expected_version=expected))
        self.judge(outcome, events, command, total, version, expected)
        if outcome.status != Status.FAILED:
            self.staged_answers[command_id] = outcome
            if outcome.status == Status.ACCEPTED:
                self.staged_totals[name] = (total + amount, version + events)
        return command_id

    @rule(command_id=asked_ids, name=NAMES, amount=AMOUNTS)
    def repeat(self, command_id: str, name: str, amount: int) -> None:
        """Ask under an id that was used: even for something else, the answer is the first one's."""
        before = self.staged_answers.get(command_id) or self.answers.get(command_id)
        if before is None:
            return  # it failed or was forgotten: `ask` says what then holds
        outcome, _ = self.answered(
            Add(counter_id=name, amount=amount), CommandMetadata(command_id, expected_version=99)
        )
        assert outcome == before

    @rule(name=NAMES, amount=AMOUNTS, decide_fails=st.booleans(), evolve_fails=st.booleans())
    def fail_and_retry(self, name: str, amount: int, decide_fails: bool, evolve_fails: bool) -> None:
        """What the functions raise fails the command alone; once they are mended, the same id is decided anew."""
        self.numbers += 1
        command = Add(counter_id=name, amount=amount)
        metadata = CommandMetadata(f"n{self.numbers}")
        total, version = self.staged_totals.get(name) or self.totals.get(name) or (0, 0)
        fits = total + amount <= LIMIT
        self.weather.decide_fails, self.weather.evolve_fails = decide_fails, evolve_fails
        outcome, events = self.answered(command, metadata)
        self.weather.decide_fails = self.weather.evolve_fails = False
        if decide_fails or (evolve_fails and fits):
            assert (outcome.status, outcome.version, events) == (Status.FAILED, version, 0)
            assert outcome.reason == f"ZeroDivisionError: {'decide' if decide_fails else 'evolve'}"
            assert outcome.result is None
            outcome, events = self.answered(command, metadata)
        self.judge(outcome, events, command, total, version, None)
        self.staged_answers[f"n{self.numbers}"] = outcome
        if fits:
            self.staged_totals[name] = (total + amount, version + 1)

    @rule()
    def commit(self) -> None:
        """The transaction commits: events are in the log, and what was decided is known."""
        for decision in self.work.decisions.values():
            for data in decision.events:
                decision.outcome.offsets.append(len(self.log))
                self.log.append((decision.key.decode(), data))
            self.memory.outcomes[decision.outcome.command_id] = self.outcomes.encode(decision.outcome)
        self.memory.states |= self.work.known
        self.totals |= self.staged_totals
        self.answers |= self.staged_answers
        self.begin()

    @rule()
    def forget(self) -> None:
        """The transaction is aborted: nothing of it happened."""
        self.begin()

    @invariant()
    def replay_equals_incremental(self) -> None:
        known: dict[str, Known] = {}
        versions: dict[str, list[int]] = defaultdict(list)
        for key, data in self.log:
            known[key] = remember(self.counter, self.codec, known.get(key), data)
            versions[key].append(self.codec.decode_metadata(data).version)
        assert known == self.memory.states
        assert {key: (each.state.total, each.version) for key, each in known.items()} == {
            key: value for key, value in self.totals.items() if value[1]
        }
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())

    def begin(self) -> None:
        self.work = Work(HOME, self.memory)
        self.staged_totals, self.staged_answers = {}, {}

    def answered(self, command: Any, metadata: CommandMetadata) -> tuple[Outcome, int]:
        answer = self.processing.process(self.work, command, metadata, str(metadata.command_id), NOW_MS)
        if isinstance(answer, Decision):
            return answer.outcome, len(answer.events)
        return self.outcomes.decode(answer), 0

    def judge(
        self, outcome: Outcome, events: int, command: Add | Split, total: int, version: int, expected: int | None
    ) -> None:
        """Compare with the model."""
        assert (outcome.command, outcome.expected_version) == (type(command).__name__, expected)
        if expected is not None and expected != version:
            assert (outcome.status, outcome.version, events) == (Status.CONFLICT, version, 0)
        elif total + command.amount > LIMIT:
            assert (outcome.status, outcome.version, events) == (Status.REJECTED, version, 0)
            assert outcome.problem == f'["too-much","{LIMIT - total} are left"]'
        else:
            count = command.amount if isinstance(command, Split) else 1
            assert (outcome.status, outcome.version, events) == (Status.ACCEPTED, version + count, count)
            assert outcome.result == str(total + command.amount)


TestStep = Step.TestCase
TestStep.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.fixture
def step() -> Step:
    machine = Step()
    machine.start()
    return machine


def test_a_new_aggregate_that_lives_elsewhere_is_refused(step: Step) -> None:
    elsewhere = next(name for name in map("c{}".format, range(30)) if name not in COUNTERS_AT_HOME)
    with pytest.raises(WrongKey, match="set the partitioner to murmur2"):
        step.answered(Add(counter_id=elsewhere, amount=1), CommandMetadata("n"))


def test_metadata_of_events_is_derived_from_the_command_s(step: Step) -> None:
    split = Split(counter_id=COUNTERS_AT_HOME[0], amount=2)
    answer = step.processing.process(step.work, split, CommandMetadata("n", "talk", "cause", 0), "n", NOW_MS)
    assert isinstance(answer, Decision)
    first, second = (step.codec.decode_metadata(data) for data in answer.events)
    assert first == ("n-1", "n", "talk", "cause", 1, NOW_MS)
    assert second == ("n-2", "n", "talk", "cause", 2, NOW_MS)
    assert answer.outcome.correlation_id == "talk"


def test_an_event_that_cannot_be_folded_breaks_its_aggregate_and_no_other(step: Step) -> None:
    one, two = COUNTERS_AT_HOME[:2]
    step.answered(Add(counter_id=one, amount=1), CommandMetadata("n"))
    step.answered(Add(counter_id=two, amount=1), CommandMetadata("m"))
    step.commit()
    step.weather.evolve_fails = True
    known = {key: remember(step.counter, step.codec, None, data) for key, data in step.log[:1]}
    undecodable = remember(step.counter, step.codec, Known(Counter(total=1), 1), b"rubbish")
    step.weather.evolve_fails = False

    assert undecodable.version == 2
    assert undecodable.broken is not None
    assert undecodable.broken.startswith("event 2 cannot be decoded")
    assert known[one].broken == "evolve cannot fold event 1: ZeroDivisionError: evolve"
    step.memory.states[one] = known[one]
    outcome, _ = step.answered(Add(counter_id=one, amount=1), CommandMetadata("o"))
    assert (outcome.status, outcome.reason) == (Status.FAILED, known[one].broken)
    outcome, _ = step.answered(Add(counter_id=two, amount=1), CommandMetadata("p"))
    assert (outcome.status, outcome.version) == (Status.ACCEPTED, 2)


def test_a_gap_in_the_versions_stops_everything(step: Step) -> None:
    step.answered(Split(counter_id=COUNTERS_AT_HOME[0], amount=3), CommandMetadata("n"))
    step.commit()
    (_, first), _, (_, third) = step.log
    known = remember(step.counter, step.codec, None, first)
    with pytest.raises(LogBroken, match=r"version 3 follows version 1"):
        remember(step.counter, step.codec, known, third)
    with pytest.raises(LogBroken, match=r"version 1 follows version 1"):
        remember(step.counter, step.codec, known, first)
