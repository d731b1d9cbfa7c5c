"""A shape: an Avro schema together with what it means in Python.

A shape is a tree, as its schema is: leaves (numbers, texts, days, enums) have converters; a `RecordShape`,
`ArrayShape`, `MapShape` or `UnionShape` has shapes inside. `schemas/encoder.py` and `schemas/decoder.py` turn the
tree into functions.

Promises: a shape never changes, and says everything that writing and reading its values takes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Convert = Callable[[Any], Any]

ABSENT: Any = object()
"""No default: the value must be there."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`schema` is JSON-like data, logical types included. A converter that is None has nothing to do."""

    schema: Any
    write: Convert | None = None
    read: Convert | None = None

    def to_avro(self, value: Any) -> Any:
        """Return the plain value that any Avro library writes with the bare schema."""
        return value if self.write is None else self.write(value)


@dataclass(frozen=True, slots=True)
class EnumShape(Shape):
    """An Avro enum. `values`: by symbol, in the schema's order, the Python value."""

    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordShape(Shape):
    """A record. `make` builds the Python value: a Value from its fields by name, a named tuple from them in order.

    `fields` is in the order of the bytes and may have fields that `model` lacks: they are read and dropped. `constants`
    are fields of the model that the bytes do not have.
    """

    model: type[Any] = object
    fields: Mapping[str, Shape] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArrayShape(Shape):
    """An array. `kind`: list or tuple."""

    item: Shape = Shape("null")
    kind: type[Any] = list


@dataclass(frozen=True, slots=True)
class MapShape(Shape):
    """A map from texts."""

    item: Shape = Shape("null")


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch of a union: the Python type that is written as it, and its shape."""

    kind: type[Any]
    shape: Shape


@dataclass(frozen=True, slots=True)
class UnionShape(Shape):
    """A union, in the schema's order. The branch of null has the kind NoneType."""

    branches: tuple[Branch, ...] = ()
