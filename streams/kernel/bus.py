"""The command bus of one process: decides at once what the owner on Kafka would decide. For tests of applications.

It runs the very step of the command processor (`streams/kernel/processing.py`), codecs included, so that dedupe,
expected versions, failures and answers are those of production. What it lacks is Kafka: nothing outlives the object.

Promises: what `schemas/command_bus.py` promises; pure: command ids that are left out are numbered, and the time is what
the caller says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schemas.codec import MessageCodec
from schemas.command_routes import CommandRoutes
from schemas.errors import DefinitionError
from schemas.messages import Command, Event
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import Accepted, OutcomeCodec, Rejected, Status, answer_of
from schemas.position import Position
from schemas.registry import Registry
from streams.kernel.application import AnyAggregate, Application
from streams.kernel.processing import Known, Processing, Work

R = TypeVar("R")
E = TypeVar("E")
HOME = 0  # the only partition


class DictMemory:
    """What is known, in two dicts. It implements the kernel's Memory."""

    def __init__(self) -> None:
        """Know nothing."""
        self.states: dict[str, Known] = {}
        self.outcomes: dict[str, bytes] = {}

    def known(self, aggregate_id: str) -> Known | None:
        """Return what is known of an aggregate; None: it has no events."""
        return self.states.get(aggregate_id)

    def outcome(self, command_id: str) -> bytes | None:
        """Return the encoded final outcome of a command; None: it was never decided, or failed."""
        return self.outcomes.get(command_id)


@dataclass
class _Owner:
    """One aggregate type with everything that it needs to be decided, and its log."""

    topic: str
    processing: Processing
    events: MessageCodec[Any, EventMetadata]
    outcomes: OutcomeCodec
    memory: DictMemory = field(default_factory=DictMemory)
    log: list[tuple[Event, EventMetadata]] = field(default_factory=list)


class InProcessCommandBus:
    """The command bus of an application, without engines. It is not for several threads."""

    def __init__(self, application: Application, now_ms: Callable[[], int] = lambda: 0) -> None:
        """`now_ms`: the clock whose time events and outcomes record."""
        self._now_ms = now_ms
        self._asked = 0
        ids = registry_of(application)
        self._owners = {each.name: _owner(application, each, ids) for each in application.aggregates}
        self._routes: CommandRoutes[_Owner] = CommandRoutes()
        for aggregate in application.aggregates:
            self._routes.add(aggregate.name, aggregate.command_types, self._owners[aggregate.name])

    def dispatch(
        self, command: Command[R, E], *, command_id: str | None = None, expected_version: int | None = None
    ) -> Accepted[R] | Rejected[E]:
        """Decide a command and return its answer.

        Raises:
            CommandFailed: its decider raised.
            HandlerNotFound: no aggregate of the application takes commands of this type.
        """
        owner = self._routes.of(command)
        self._asked += 1
        made = command_id or f"command-{self._asked}"
        work = Work(HOME, owner.memory)
        metadata = CommandMetadata(made, expected_version=expected_version)
        answer = owner.processing.process(work, command, metadata, made, self._now_ms())
        outcome = owner.outcomes.decode(answer) if isinstance(answer, bytes) else self._commit(owner, work, answer)
        offsets = {(owner.topic, HOME): outcome.offsets[-1] + 1} if outcome.offsets else {}
        return answer_of(outcome, type(command), Position(offsets))

    def events(self, aggregate: AnyAggregate) -> list[tuple[Event, EventMetadata]]:
        """Return every event of an aggregate type so far, in order, with its metadata.

        Raises:
            DefinitionError: the application has no such aggregate.
        """
        if aggregate.name not in self._owners:
            raise DefinitionError(f"no aggregate {aggregate.name!r}; there are: {', '.join(self._owners)}")
        return list(self._owners[aggregate.name].log)

    def _commit(self, owner: _Owner, work: Work, decision: Any) -> Any:
        """Do what a committed transaction does: events get their offsets, and what was decided becomes known."""
        for data in decision.events:
            decision.outcome.offsets.append(len(owner.log))
            owner.log.append(owner.events.decode(data))
        owner.memory.states.update(work.known)
        if decision.outcome.status != Status.FAILED:
            owner.memory.outcomes[decision.outcome.command_id] = owner.outcomes.encode(decision.outcome)
        return decision.outcome


def registry_of(application: Application) -> Registry:
    """Return a registry, in memory, that knows the application's schemas."""
    registry = Registry()
    for subject, schema in application.subjects().items():
        record = registry.registration(subject, schema)
        if record is not None:
            registry.apply(*record)
    return registry


def _owner(application: Application, aggregate: AnyAggregate, ids: Registry) -> _Owner:
    events = application.event_codec(aggregate, ids)
    processing = Processing(aggregate, events, partitions=1)
    return _Owner(application.topics(aggregate).events, processing, events, application.outcome_codec(aggregate, ids))
