"""Events made by chance: of the projection's types, valid, versioned by aggregate, on their aggregate's partition."""

import random
from collections import defaultdict
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from schemas.errors import DefinitionError
from schemas.messages import AggregateId, Event
from schemas.metadata import EventMetadata
from streams.domain.shop.projections import daily_sales
from streams.kernel.aggregate import Aggregate
from streams.kernel.generating import generate
from streams.kernel.partitioner import partition_of
from streams.kernel.projection import Projection, Row


class Colour(Enum):
    RED = "red"


class Part(Row):
    size: int = 1


class Everything(Event):
    thing_id: Annotated[str, AggregateId]
    colour: Colour
    literal: Literal["x", "y"]
    optional: float | None
    parts: list[Part]
    by_name: dict[str, int]
    price: Annotated[Decimal, Field(max_digits=9, decimal_places=2, gt=0)]
    text: str = Field(min_length=5)


class Never(Event):
    thing_id: Annotated[str, AggregateId]
    text: str = Field(pattern="^never$")


class ThingRow(Row):
    colour: str
    count: int = 0


def projection_of(event: Any) -> Projection[Any, Any]:
    def project(row: ThingRow, event: Any, meta: EventMetadata) -> ThingRow:
        return row

    project.__annotations__["event"] = event
    thing: Aggregate[Any, Any, Any] = Aggregate.__new__(Aggregate)
    object.__setattr__(thing, "name", "thing")
    object.__setattr__(thing, "event_types", frozenset([event]))
    return Projection("things", 1, ThingRow, [thing], project, key=lambda event: event.thing_id)


def test_events_lie_where_their_aggregates_live_and_have_versions_without_gaps() -> None:
    places = generate(daily_sales, 4, 300, random.Random(1).randrange)
    versions = defaultdict(list)
    for place, facts in places.items():
        for event, meta in facts:
            assert partition_of(event.aggregate_id.encode(), 4) == place
            versions[event.aggregate_id].append(meta.version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert len(places) > 1
    assert {type(event) for facts in places.values() for event, _ in facts} == daily_sales.event_types


def test_a_value_is_made_for_every_kind_of_field() -> None:
    places = generate(projection_of(Everything), 2, 50, random.Random(1).randrange)
    events = [event for facts in places.values() for event, _ in facts]
    assert len(events) == 50
    assert {type(event.__dict__["optional"]) for event in events} == {float, type(None)}


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(DefinitionError, match=r"no Never could be made: .*pattern.*--recorded"):
        generate(projection_of(Never), 2, 1, random.Random(1).randrange)
