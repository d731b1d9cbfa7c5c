"""Avro shapes: how a pydantic model is written as Avro, and read back.

A **shape** is a schema with two converters, between the Python value and the plain value that fastavro writes and reads.
fastavro's own logical types are not used on the way (they cost three times in decoding): it sees the bare schema, and
the converters do dates, times, decimals, UUIDs and enums.

Promises: what `record_shape` accepts survives the round trip unchanged; what cannot be expressed is refused with the
field's name and what to use instead.

============================================  ==================================================
Python                                        Avro
============================================  ==================================================
bool, int, float, str, bytes                  boolean, long, double, string, bytes
Decimal (max_digits and decimal_places set)   bytes, decimal
date; AwareDatetime; UUID                     int, date; long, timestamp-micros; string, uuid
Enum; Literal of strings                      enum of the member names; of the strings
X | None                                      union with null
a union of models, or of plain scalars        union
list[X], tuple[X, ...]; dict[str, X]          array; map
a nested model                                record
============================================  ==================================================
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.avro_scalars import SCALARS, decimal_shape, enum_shape, literal_shape
from schemas.errors import UnsupportedType
from schemas.shape import Convert, Shape
from schemas.values import construct

PLAIN = frozenset({bool, int, float, str, bytes})


def record_shape(model: type[BaseModel]) -> Shape:
    """Derive the shape of a model.

    Raises:
        UnsupportedType: a field has a type that Avro cannot express.
    """
    return _Derivation().record(model, model.__name__)


def bare(schema: Any) -> Any:
    """Return the schema without its logical types: the one that fastavro works with."""
    if isinstance(schema, Mapping):
        return {key: bare(value) for key, value in schema.items() if key not in ("logicalType", "precision", "scale")}
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [bare(each) for each in schema]
    return schema


class _Derivation:
    """One walk over a model. Avro defines a name once and refers to it afterwards, so the walk remembers names."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        self.open: list[type[BaseModel]] = []

    def record(self, model: type[BaseModel], where: str) -> Shape:
        if model in self.open:
            raise UnsupportedType(f"{where}: {model.__name__} contains itself: refer to the inner one by its id")
        known = self.define(model.__name__, model, where)
        self.open.append(model)
        shapes = {
            name: self.field(field, f"{model.__name__}.{name}", name) for name, field in model.model_fields.items()
        }
        self.open.pop()
        return Shape(model.__name__ if known else _record_schema(model, shapes), *_record_converters(model, shapes))

    def define(self, name: str, meaning: Any, where: str) -> bool:
        """Remember what a name means; return whether it was known.

        Raises:
            UnsupportedType: the name already means something else.
        """
        if name in self.named and self.named[name] != meaning:
            raise UnsupportedType(f"{where}: two different types are both called {name}: rename one")
        known = name in self.named
        self.named[name] = meaning
        return known

    def field(self, field: FieldInfo, where: str, name: str) -> Shape:
        if _is_decimal(field.annotation):
            inner = decimal_shape(field.metadata, where)
            return _optional(inner) if field.annotation not in SCALARS and _nullable(field.annotation) else inner
        return self.of(field.annotation, where, name)

    def of(self, annotation: Any, where: str, name: str) -> Shape:
        if annotation in SCALARS:
            return SCALARS[annotation]
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.annotated(arguments, where, name)
        if origin in (Union, UnionType):
            return self.union(arguments, where, name)
        if origin is Literal:
            shape = literal_shape(arguments, where)
            known = self.define(shape.schema["name"], arguments, where)
            return Shape(shape.schema["name"]) if known else shape
        if origin in (list, tuple, dict):
            return self.container(origin, arguments, where, name)
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            shape = enum_shape(annotation, where)
            known = self.define(annotation.__name__, annotation, where)
            return Shape(annotation.__name__, shape.write, shape.read) if known else shape
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.record(annotation, where)
        raise UnsupportedType(f"{where}: {_instead(annotation)}")

    def annotated(self, arguments: tuple[Any, ...], where: str, name: str) -> Shape:
        if _is_decimal(arguments[0]):
            return decimal_shape(list(arguments[1:]), where)
        return self.of(arguments[0], where, name)

    def container(self, origin: Any, arguments: tuple[Any, ...], where: str, name: str) -> Shape:
        if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            raise UnsupportedType(f"{where}: a tuple of fixed length has no Avro type: use tuple[X, ...] or a model")
        if origin is dict and arguments[0] is not str:
            raise UnsupportedType(f"{where}: Avro's maps have str keys: use dict[str, X] or a list of models")
        inner = self.of(arguments[1] if origin is dict else arguments[0], where, name)
        if origin is dict:
            return _map_shape(inner)
        return _array_shape(inner, origin)

    def union(self, arguments: tuple[Any, ...], where: str, name: str) -> Shape:
        branches = [each for each in arguments if each is not NoneType]
        nullable = len(branches) < len(arguments)
        if len(branches) == 1:
            return _optional(self.of(branches[0], where, name))
        if all(isinstance(each, type) and issubclass(each, BaseModel) for each in branches):
            return _model_union(branches, [self.record(each, where) for each in branches], nullable)
        if all(each in PLAIN for each in branches):
            schemas = [SCALARS[each].schema for each in branches]
            return Shape(["null", *schemas] if nullable else schemas)
        raise UnsupportedType(f"{where}: a union may join models, or plain scalars, but not both: wrap it in models")


def _record_schema(model: type[BaseModel], shapes: Mapping[str, Shape]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "record", "name": model.__name__}
    if model.__doc__:
        schema["doc"] = " ".join(model.__doc__.split())
    schema["fields"] = [_avro_field(name, field, shapes[name]) for name, field in model.model_fields.items()]
    return schema


def _record_converters(model: type[BaseModel], shapes: Mapping[str, Shape]) -> tuple[Convert, Convert]:
    writes = [(name, shape.write) for name, shape in shapes.items() if shape.write]
    reads = [(name, shape.read) for name, shape in shapes.items() if shape.read]

    def write(value: BaseModel) -> dict[str, Any]:
        fields = dict(value.__dict__)
        for name, convert in writes:
            fields[name] = convert(fields[name])
        return fields

    def read(fields: dict[str, Any]) -> BaseModel:
        for name, convert in reads:
            fields[name] = convert(fields[name])
        return construct(model, fields)

    return write, read


def _avro_field(name: str, field: FieldInfo, shape: Shape) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "type": shape.schema}
    if field.description:
        described["doc"] = field.description
    default = _default(field)
    if default is not PydanticUndefined:
        plain = shape.to_avro(default)
        # Avro wants a default to be of the union's first branch.
        if isinstance(shape.schema, list) and shape.schema[0] == "null" and plain is not None:
            described["type"] = [*shape.schema[1:], "null"]
        described["default"] = plain.decode("latin-1") if isinstance(plain, bytes) else plain
    return described


def _default(field: FieldInfo) -> Any:
    if field.default_factory in (list, dict, tuple):
        return field.default_factory()
    return field.default


def _optional(inner: Shape) -> Shape:
    write, read = inner.write, inner.read
    return Shape(
        ["null", inner.schema],
        None if write is None else lambda value: None if value is None else write(value),
        None if read is None else lambda plain: None if plain is None else read(plain),
    )


def _array_shape(inner: Shape, origin: type) -> Shape:
    write, read = inner.write, inner.read
    schema = {"type": "array", "items": inner.schema}
    return Shape(
        schema,
        list if write is None else lambda values: [write(each) for each in values],
        origin if read is None else lambda plains: origin(read(each) for each in plains),
    )


def _map_shape(inner: Shape) -> Shape:
    write, read = inner.write, inner.read
    return Shape(
        {"type": "map", "values": inner.schema},
        None if write is None else lambda values: {key: write(each) for key, each in values.items()},
        None if read is None else lambda plains: {key: read(each) for key, each in plains.items()},
    )


def _model_union(models: Sequence[Any], shapes: Sequence[Shape], nullable: bool) -> Shape:
    """Write a model with its record's name, since fastavro would otherwise guess which branch a dict is."""
    by_name = {model.__name__: shape for model, shape in zip(models, shapes, strict=True)}
    schemas = [shape.schema for shape in shapes]

    def write(value: BaseModel | None) -> Any:
        if value is None:
            return None
        name = type(value).__name__
        return {"-type": name, **by_name[name].to_avro(value)}

    def read(named: Any) -> Any:
        if named is None:
            return None
        name, plain = named
        convert = by_name[name.rpartition(".")[2]].read
        return plain if convert is None else convert(plain)

    return Shape(["null", *schemas] if nullable else schemas, write, read)


def _is_decimal(annotation: Any) -> bool:
    return annotation is Decimal or Decimal in get_args(annotation)


def _nullable(annotation: Any) -> bool:
    return NoneType in get_args(annotation)


def _instead(annotation: Any) -> str:
    advice = {
        datetime: "a datetime without a time zone is ambiguous: use pydantic's AwareDatetime",
        time: "Avro's times of day are not supported: use an int of seconds or a str",
        Any: "Any has no Avro type: say the type",
        set: "Avro has no set: use tuple[X, ...]",
        frozenset: "Avro has no set: use tuple[X, ...]",
    }
    known = advice.get(annotation) or advice.get(get_origin(annotation))
    return known or f"{annotation!r} has no Avro type: use one of the types that schemas/avro.py lists"
