"""An application: the aggregates, projections, process managers and query handlers that belong together under one name.

Promises: names are unique within it (a projection's with its version), the sources of every projection and process
manager are in it, as are those who take its process managers' commands, and it alone says what topics there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.codec import NO_EVOLUTION, MessageCodec
from schemas.contract import Contract
from schemas.errors import DefinitionError
from schemas.messages import Command
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import OutcomeCodec
from schemas.registry import SchemaIds
from schemas.topics import AggregateTopics, dead_letters_topic
from schemas.upcasting import Evolution
from streams.kernel.aggregate import Aggregate
from streams.kernel.process_manager import ProcessManager
from streams.kernel.projection import Projection
from streams.kernel.query import QueryHandler, query_type

AnyAggregate = Aggregate[Any, Any, Any]
AnyProjection = Projection[Any, Any]
AnyProcessManager = ProcessManager[Any, Any]


@dataclass(frozen=True)
class Application:
    """`kafold -A package.module:app` takes one of these."""

    name: str
    aggregates: Sequence[AnyAggregate]
    projections: Sequence[AnyProjection] = ()
    queries: Sequence[QueryHandler] = ()
    evolution: Evolution = NO_EVOLUTION
    process_managers: Sequence[AnyProcessManager] = ()

    def __post_init__(self) -> None:
        """Check the names, and that all sources, and all who are sent commands, are here."""
        if not self.name.replace("-", "").replace("_", "").isalnum() or not self.name.islower():
            raise DefinitionError(f"application name {self.name!r}: use lower-case letters, digits, - and _")
        _check_unique("aggregate", [each.name for each in self.aggregates])
        _check_unique("projection", [f"{each.name} v{each.version}" for each in self.projections])
        # Both have a view of their name.
        both: list[AnyProjection | AnyProcessManager] = [*self.projections, *self.process_managers]
        _check_unique(
            "view", [*{each.name for each in self.projections}, *(each.name for each in self.process_managers)]
        )
        _check_unique("query handler", [query_type(each).__name__ for each in self.queries])
        for each in both:
            for source in each.of:
                if source not in self.aggregates:
                    raise DefinitionError(f"{each.name} takes events of {source.name}, which is not in {self.name}")
        for manager in self.process_managers:
            for command in manager.command_types:
                self.taker(command)

    def aggregate(self, name: str) -> AnyAggregate:
        """Return the aggregate of this name, or raise DefinitionError naming those that there are."""
        for aggregate in self.aggregates:
            if aggregate.name == name:
                return aggregate
        raise DefinitionError(f"no aggregate {name!r}; there are: {', '.join(each.name for each in self.aggregates)}")

    def projection(self, name: str, version: int | None = None) -> AnyProjection:
        """Return a version of a projection, the newest unless told otherwise.

        Raises:
            DefinitionError: there is none; the text names those that there are.
        """
        of_name = {each.version: each for each in self.projections if each.name == name}
        if not of_name:
            names = ", ".join(dict.fromkeys(each.name for each in self.projections))
            raise DefinitionError(f"no projection {name!r}; there are: {names}")
        wanted = max(of_name) if version is None else version
        if wanted not in of_name:
            there_are = ", ".join(f"v{each}" for each in sorted(of_name))
            raise DefinitionError(f"projection {name} has no version {wanted} in this code; there are: {there_are}")
        return of_name[wanted]

    @property
    def newest_projections(self) -> Sequence[AnyProjection]:
        """The projections, of each its newest version. Two versions stand side by side while one is replaced."""
        return [each for each in self.projections if each is self.projection(each.name)]

    def taker(self, command: type[Command[Any, Any]]) -> AnyAggregate:
        """Return the aggregate that takes commands of a type, or raise DefinitionError."""
        for aggregate in self.aggregates:
            if command in aggregate.command_types:
                return aggregate
        raise DefinitionError(f"{command.__name__} is sent, but no aggregate of {self.name} takes it")

    def topics(self, aggregate: AnyAggregate) -> AggregateTopics:
        """Return the names of an aggregate's topics."""
        return AggregateTopics(self.name, aggregate.name)

    @property
    def dead_letters(self) -> str:
        """The topic of the messages that could not be understood."""
        return dead_letters_topic(self.name)

    def contract(self, aggregate: AnyAggregate) -> Contract:
        """Return what the aggregate publishes."""
        return Contract(self.topics(aggregate), aggregate.command_types, aggregate.event_types, self.evolution)

    @property
    def contracts(self) -> Sequence[Contract]:
        """What each aggregate publishes: all that a producer of commands needs."""
        return [self.contract(aggregate) for aggregate in self.aggregates]

    def command_codec(self, aggregate: AnyAggregate, ids: SchemaIds) -> MessageCodec[Any, CommandMetadata]:
        """Return the codec of the aggregate's commands topic."""
        return self.contract(aggregate).command_codec(ids)

    def event_codec(self, aggregate: AnyAggregate, ids: SchemaIds) -> MessageCodec[Any, EventMetadata]:
        """Return the codec of the aggregate's events topic."""
        return self.contract(aggregate).event_codec(ids)

    def outcome_codec(self, aggregate: AnyAggregate, ids: SchemaIds) -> OutcomeCodec:
        """Return the codec of the aggregate's outcomes topic."""
        return self.contract(aggregate).outcome_codec(ids)

    def subjects(self) -> dict[str, str]:
        """Return every subject of the application with its schema as JSON text: what must be registered."""
        return {subject: schema for contract in self.contracts for subject, schema in contract.subjects().items()}


def _check_unique(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"two {kind}s are called {name}: rename one")
