"""Checking: whether projections commute, with events that are generated or that the log holds.

Promises: the same seed looks at the same events in the same interleavings; a projection that needs no check, because
each of its rows has one partition, is said to need none.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import NamedTuple

from confluent_kafka import Consumer

from infra.progress import ends_of
from infra.projections import sources
from schemas.errors import DefinitionError
from schemas.registry import SchemaIds
from streams.event_store.causes import recorded_events
from streams.kafka.config import Kafka
from streams.kafka.scanning import OnProgress
from streams.kernel.application import AnyProjection, Application
from streams.kernel.commuting import Clash, Fact, find_clash
from streams.kernel.explaining import Located
from streams.kernel.generating import generate

Facts = Mapping[int, list[Fact]]


class Checked(NamedTuple):
    """`events`: how many were looked at; 0 where each row has one partition, so that there is nothing to check."""

    name: str
    version: int
    events: int
    clash: Clash | None


def check_commuting(projection: AnyProjection, facts: Facts, seed: int, tries: int) -> Checked:
    """Read the events in shuffled interleavings.

    Raises:
        DefinitionError: `project` cannot take one of the events in one of the orders.
    """
    if projection.on_aggregate_key:
        return Checked(projection.name, projection.version, 0, None)
    chance = random.Random(seed)  # noqa: S311 - no secret
    try:
        clash = find_clash(projection, facts, chance.randrange, tries)
    except Exception as error:
        raise DefinitionError(
            f"{projection.name}: project or key raised {type(error).__name__} ({error}) in one of the orders: it must "
            "take its events in any order; if such events are never decided, check recorded ones (--recorded)"
        ) from error
    return Checked(projection.name, projection.version, sum(map(len, facts.values())), clash)


def generated(projection: AnyProjection, partitions: int, count: int, seed: int) -> Facts:
    """Return events that were made by chance."""
    return generate(projection, partitions, count, random.Random(seed).randrange)  # noqa: S311 - no secret


def recorded(
    application: Application,
    projection: AnyProjection,
    kafka: Kafka,
    ids: SchemaIds,
    count: int,
    on_progress: OnProgress,
) -> Facts:
    """Return the log's first events of the projection's types, as many of each partition."""
    with closing(Consumer(kafka.consumer(group_id="kafold-status"))) as consumer:
        ends = ends_of(consumer, sources(application, projection))
    share = max(1, count // max(1, len(ends)))
    facts: dict[int, list[Fact]] = {}
    for number, (place, end) in enumerate(ends.items()):
        found = recorded_events(application, projection, kafka, ids, {place: end})
        facts[number] = [(each.event, each.meta) for each in islice(_of_its_types(projection, found), share)]
        on_progress(number + 1, len(ends))
    return facts


def _of_its_types(projection: AnyProjection, found: Iterator[Located]) -> Iterator[Located]:
    return (each for each in found if type(each.event) in projection.event_types)
