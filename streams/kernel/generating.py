"""Generating: events of an application's own types, made by chance, to check a projection before there is a log.

Values come from small pools, so that events meet in the same rows.

Promises: pure (the chance is handed in); an event that is made passes its model's own validation; a field for which
nothing can be made is named.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ValidationError

from schemas.errors import DefinitionError
from schemas.messages import Event
from schemas.metadata import EventMetadata, event_id
from streams.kernel.commuting import Fact
from streams.kernel.partitioner import partition_of
from streams.kernel.projection import Projection

Choose = Callable[[int], int]

AGGREGATES = 6  # of each type: few, so that an aggregate has a history, and several, so that partitions meet
TRIES_MAX = 50
EPOCH = datetime(2001, 1, 1, tzinfo=UTC)

_POOLS: Mapping[Any, Sequence[Any]] = {
    bool: (False, True),
    int: (1, 2, 3, 5, 0, 100),
    float: (0.5, 1.0, 2.0, 0.0),
    str: ("a", "b", "c", "d@example.org"),
    bytes: (b"a", b"b"),
    Decimal: (Decimal(1), Decimal(2), Decimal(0)),
    date: tuple(date(2001, 1, 1) + timedelta(days) for days in range(3)),
    datetime: tuple(EPOCH + timedelta(hours=hours) for hours in range(3)),
    AwareDatetime: tuple(EPOCH + timedelta(hours=hours) for hours in range(3)),
    timedelta: (timedelta(seconds=1), timedelta(minutes=1)),
    UUID: tuple(UUID(int=number) for number in (1, 2)),
    NoneType: (None,),
}


def generate(projection: Projection[Any, Any], partitions: int, count: int, choose: Choose) -> dict[int, list[Fact]]:
    """Return events that the projection folds, by the partition that they would lie on.

    Args:
        projection: whose event types are made; a topic's partitions follow those of the topic before it.
        partitions: how many each topic has.
        count: how many events.
        choose: returns a number below its argument; give `random.Random(seed).randrange`.

    Raises:
        DefinitionError: a field's type is one for which no value can be made here.
    """
    places: dict[int, list[Fact]] = {}
    versions: dict[str, int] = {}
    kinds = [
        (number, each)
        for number, aggregate in enumerate(projection.of)
        for each in sorted(projection.event_types & set(aggregate.event_types), key=lambda each: each.__name__)
    ]
    for number in range(count):
        source, kind = kinds[choose(len(kinds))]
        name = f"{projection.of[source].name}-{choose(AGGREGATES)}"
        version = versions[name] = versions.get(name, 0) + 1
        command = f"generated-{number}"
        meta = EventMetadata(event_id(command, 1), command, command, command, version, number)
        place = source * partitions + partition_of(name.encode(), partitions)
        places.setdefault(place, []).append((_event(kind, name, choose), meta))
    return places


def _event(kind: type[Event], aggregate_id: str, choose: Choose) -> Event:
    """Return an event of the type that its model accepts."""
    problem = ""
    for _ in range(TRIES_MAX):
        fields = _fields(kind, choose) | {kind.aggregate_id_field: aggregate_id}
        try:
            return kind.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    raise DefinitionError(f"no {kind.__name__} could be made: {problem}; check recorded events instead (--recorded)")


def _fields(model: type[BaseModel], choose: Choose) -> dict[str, Any]:
    return {
        name: _value(field.annotation, f"{model.__name__}.{name}", choose) for name, field in model.model_fields.items()
    }


def _value(annotation: Any, where: str, choose: Choose) -> Any:
    pool = next((values for kind, values in _POOLS.items() if kind is annotation or kind == annotation), None)
    if pool is not None:
        return pool[choose(len(pool))]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        members = list(annotation)
        return members[choose(len(members))]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_validate(_fields(annotation, choose))
    return _composed(annotation, where, choose)


def _composed(annotation: Any, where: str, choose: Choose) -> Any:
    """Return a value of a type that has others as its parts."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value(parts[0], where, choose)
    if origin is Literal:
        return parts[choose(len(parts))]
    if origin in (Union, UnionType):
        return _value(parts[choose(len(parts))], where, choose)
    if origin in (list, tuple, set, frozenset, Sequence):
        return [_value(parts[0], where, choose) for _ in range(choose(3))]
    if origin in (dict, Mapping):
        return {_value(str, where, choose): _value(parts[1], where, choose)}
    raise DefinitionError(f"{where}: no {annotation} can be made by chance; check recorded events instead (--recorded)")
