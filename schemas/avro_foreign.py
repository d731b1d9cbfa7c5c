"""Shapes of schemas that no class here stands for: old versions, and those that others registered.

Their records are read as dicts, their enums as texts; days, times, UUIDs and decimals as Python's own.

Promises: every Avro schema has a shape, except one that contains itself.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from types import NoneType
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from schemas.avro_scalars import SCALARS, decimal_of
from schemas.errors import UnsupportedType
from schemas.shape import ABSENT, ArrayShape, Branch, EnumShape, MapShape, RecordShape, Shape, UnionShape

_LOGICAL: Mapping[tuple[str, str], Shape] = {
    ("int", "date"): SCALARS[date],
    ("long", "timestamp-micros"): SCALARS[AwareDatetime],
    ("string", "uuid"): SCALARS[UUID],
}
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_KINDS: Mapping[str, type[Any]] = {
    "null": NoneType, "boolean": bool, "int": int, "long": int, "float": float, "double": float, "bytes": bytes,
    "string": str, "array": list, "map": dict,
}  # fmt: skip


def foreign_shape(schema: Any) -> Shape:
    """Return the shape of any Avro schema.

    Raises:
        UnsupportedType: it is no Avro schema, or contains itself.
    """
    try:
        return _Walk().of(schema, "")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UnsupportedType(f"not an Avro schema: {type(error).__name__} {error}") from error


def foreign_record(schema: Any) -> RecordShape:
    """Return the shape of a record's schema, or raise UnsupportedType."""
    shape = foreign_shape(schema)
    if not isinstance(shape, RecordShape):
        raise UnsupportedType("the schema is not of a record")
    return shape


def tuple_record(schema: Any, model: type[Any]) -> RecordShape:
    """Return the shape of a record that is a named tuple in Python."""
    record = foreign_record(schema)
    return RecordShape(schema, model=model, fields=record.fields, defaults=record.defaults)


def full_name(schema: Mapping[str, Any], enclosing: str = "") -> str:
    """Return a named schema's name with its namespace."""
    name = str(schema["name"])
    namespace = str(schema.get("namespace", enclosing) or "")
    return f"{namespace}.{name}" if namespace and "." not in name else name


class _Walk:
    def __init__(self) -> None:
        self.named: dict[str, Shape | None] = {}

    def of(self, schema: Any, namespace: str) -> Shape:
        if isinstance(schema, list):
            return _union([self.of(each, namespace) for each in schema])
        if isinstance(schema, str):
            return Shape(schema) if schema in _PRIMITIVES else self.reference(schema, namespace)
        return self.described(schema, namespace)

    def described(self, schema: Mapping[str, Any], namespace: str) -> Shape:
        kind = schema["type"]
        match kind:
            case "record" | "error":
                return self.record(schema, namespace)
            case "enum":
                values = {str(symbol): symbol for symbol in schema["symbols"]}
                return self.name(schema, namespace, EnumShape(schema, values=values))
            case "fixed":
                return self.name(schema, namespace, Shape(schema))
            case "array":
                return ArrayShape(schema, item=self.of(schema["items"], namespace))
            case "map":
                return MapShape(schema, item=self.of(schema["values"], namespace))
            case str() if kind in _PRIMITIVES:
                return _logical(schema)
            case _:
                return self.of(kind, namespace)

    def reference(self, name: str, namespace: str) -> Shape:
        full = f"{namespace}.{name}" if namespace and "." not in name else name
        shape = self.named[full] if full in self.named else self.named[name]
        if shape is None:
            raise UnsupportedType(f"{name} contains itself")
        return shape

    def name(self, schema: Mapping[str, Any], namespace: str, shape: Shape) -> Shape:
        self.named[full_name(schema, namespace)] = shape
        return shape

    def record(self, schema: Mapping[str, Any], namespace: str) -> Shape:
        name = full_name(schema, namespace)
        self.named[name] = None
        inside = name.rpartition(".")[0]
        fields = {str(each["name"]): self.of(each["type"], inside) for each in schema["fields"]}
        defaults = {
            str(each["name"]): value_of(fields[each["name"]], each["default"])
            for each in schema["fields"]
            if "default" in each
        }
        shape = RecordShape(schema, model=dict, fields=fields, defaults=defaults)
        return self.name(schema, namespace, shape)


def _union(shapes: Sequence[Shape]) -> UnionShape:
    kinds = [_kind(shape) for shape in shapes]
    if len(kinds) - kinds.count(NoneType) == 1:
        # With one type beside null there is nothing to tell apart.
        kinds = [kind if kind is NoneType else object for kind in kinds]
    branches = tuple(Branch(kind, shape) for kind, shape in zip(kinds, shapes, strict=True))
    return UnionShape([shape.schema for shape in shapes], branches=branches)


def _logical(schema: Mapping[str, Any]) -> Shape:
    logical = schema.get("logicalType")
    if logical == "decimal" and schema["type"] == "bytes":
        return decimal_of(int(schema["precision"]), int(schema.get("scale", 0)))
    known = _LOGICAL.get((schema["type"], str(logical)))
    # The schema is kept as it is written, so that two versions can be compared by it.
    return Shape(dict(schema), known.write, known.read) if known else Shape(dict(schema))


def _kind(shape: Shape) -> type[Any]:
    return dict if isinstance(shape, RecordShape | MapShape) else _KINDS.get(base_of(shape), object)


def base_of(shape: Shape) -> str:
    """Return the Avro type of a shape: `long` for a time, `record` for a record."""
    match shape:
        case RecordShape():
            return "record"
        case UnionShape():
            return "union"
        case EnumShape():
            return "enum"
        case ArrayShape():
            return "array"
        case MapShape():
            return "map"
        case _:
            return str(shape.schema["type"] if isinstance(shape.schema, Mapping) else shape.schema)


def value_of(shape: Shape, default: Any) -> Any:
    """Return the Python value of a default in a schema."""
    match shape:
        case RecordShape():
            return {
                name: value_of(inner, default[name]) if name in default else shape.defaults[name]
                for name, inner in shape.fields.items()
            }
        case ArrayShape():
            return [value_of(shape.item, each) for each in default]
        case MapShape():
            return {key: value_of(shape.item, each) for key, each in default.items()}
        case UnionShape():
            return _union_value(shape, default)
        case EnumShape():
            return shape.values[default]
        case _:
            plain = default.encode("latin-1") if base_of(shape) in ("bytes", "fixed") else default
            return plain if shape.read is None or default is ABSENT else shape.read(plain)


def _union_value(shape: UnionShape, default: Any) -> Any:
    # The first branch, says the specification; newer libraries allow any.
    for branch in shape.branches:
        if (default is None) == (branch.kind is NoneType):
            return value_of(branch.shape, default)
    raise ValueError(f"the default {default!r} is of none of the union's types")
