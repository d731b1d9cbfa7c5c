"""Resolution: reading what one schema wrote as what another one says, by the rules of Avro's specification.

Fields are matched by name; a field that only the writer has is dropped; one that only the reader has takes its default;
numbers widen. The result is a shape: the writer's bytes, the reader's values.

Promises: every difference that Avro cannot bridge is found, each with the path of its field.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from schemas.avro_foreign import base_of, foreign_shape
from schemas.shape import ArrayShape, Branch, Convert, EnumShape, MapShape, RecordShape, Shape, UnionShape

_PROMOTIONS: Mapping[tuple[str, str], Callable[[Any], Any] | None] = {
    ("int", "long"): None,
    ("int", "float"): float,
    ("int", "double"): float,
    ("long", "float"): float,
    ("long", "double"): float,
    ("float", "double"): None,
    ("string", "bytes"): str.encode,
    ("bytes", "string"): bytes.decode,
}


class Resolution(NamedTuple):
    """`shape` may only be used if there are no problems."""

    shape: Shape
    problems: tuple[str, ...]


def resolve(writer: Any, reader: Shape) -> Resolution:
    """Return how to read what was written with the schema `writer` as the shape `reader`.

    Raises:
        UnsupportedType: `writer` is no Avro schema.
    """
    walk = _Walk()
    shape = walk.of(foreign_shape(writer), reader, "")
    return Resolution(shape, tuple(walk.problems))


class _Walk:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def wrong(self, path: str, problem: str, shape: Shape) -> Shape:
        self.problems.append(f"{path}: {problem}" if path else problem)
        return shape

    def of(self, writer: Shape, reader: Shape, path: str) -> Shape:
        if isinstance(writer, UnionShape):
            return self.from_union(writer, reader, path)
        if isinstance(reader, UnionShape):
            return self.into_union(writer, reader, path)
        match writer, reader:
            case RecordShape(), RecordShape():
                return self.record(writer, reader, path)
            case EnumShape(), EnumShape():
                return self.enum(writer, reader, path)
            case ArrayShape(), ArrayShape():
                item = self.of(writer.item, reader.item, f"{path}[]")
                return ArrayShape(writer.schema, item=item, kind=reader.kind)
            case MapShape(), MapShape():
                return MapShape(writer.schema, item=self.of(writer.item, reader.item, f"{path}{{}}"))
            case _:
                return self.leaf(writer, reader, path)

    def record(self, writer: RecordShape, reader: RecordShape, path: str) -> Shape:
        # The outermost record's name is the caller's affair: an upcaster may have renamed it.
        if path and _name(writer) != _name(reader):
            return self.wrong(path, f"the record {_name(writer)} was renamed to {_name(reader)}", reader)
        fields = {
            name: self.of(inner, reader.fields[name], _join(path, name)) if name in reader.fields else inner
            for name, inner in writer.fields.items()
        }
        constants = {}
        for name in reader.fields:
            if name in writer.fields:
                continue
            if name in reader.defaults:
                constants[name] = reader.defaults[name]
            else:
                self.wrong(_join(path, name), "is new and has no default", reader)
        return RecordShape(writer.schema, model=reader.model, fields=fields, constants=constants)

    def enum(self, writer: EnumShape, reader: EnumShape, path: str) -> Shape:
        if _name(writer) != _name(reader):
            return self.wrong(path, f"the enum {_name(writer)} was renamed to {_name(reader)}", reader)
        lost = [symbol for symbol in writer.values if symbol not in reader.values]
        if lost:
            return self.wrong(path, f"the enum {_name(writer)} has lost {', '.join(lost)}", reader)
        return EnumShape(writer.schema, values={symbol: reader.values[symbol] for symbol in writer.values})

    def leaf(self, writer: Shape, reader: Shape, path: str) -> Shape:
        source, target = base_of(writer), base_of(reader)
        if source == target:
            problem = _decimal_problem(writer.schema, reader.schema) or _fixed_problem(writer.schema, reader.schema)
            return self.wrong(path, problem, reader) if problem else Shape(writer.schema, read=reader.read)
        if (source, target) not in _PROMOTIONS:
            return self.wrong(path, f"the type changed from {source} to {target}", reader)
        return Shape(writer.schema, read=_chain(_PROMOTIONS[source, target], reader.read))

    def from_union(self, writer: UnionShape, reader: Shape, path: str) -> Shape:
        branches = []
        for branch in writer.branches:
            resolved = self.of(branch.shape, reader, path)
            branches.append(Branch(branch.kind, resolved))
        return UnionShape(writer.schema, branches=tuple(branches))

    def into_union(self, writer: Shape, reader: UnionShape, path: str) -> Shape:
        """Take the branch of the same type, or else the first one that the writer's type widens to."""
        same = [each for each in reader.branches if _same(writer, each.shape)]
        for branch in [*same, *reader.branches]:
            attempt = _Walk()
            resolved = attempt.of(writer, branch.shape, path)
            if not attempt.problems:
                return resolved
        if len(same) == 1:
            return self.of(writer, same[0].shape, path)
        types = " | ".join(_described(each.shape) for each in reader.branches)
        return self.wrong(path, f"the type {_described(writer)} is not one of {types}", reader)


def _same(writer: Shape, reader: Shape) -> bool:
    return _described(writer) == _described(reader)


def _described(shape: Shape) -> str:
    return _name(shape) if isinstance(shape, RecordShape | EnumShape) else base_of(shape)


def _name(shape: Shape) -> str:
    """Return a named shape's name without its namespace: the specification compares no more."""
    name = shape.schema["name"] if isinstance(shape.schema, Mapping) else shape.schema
    return str(name).rpartition(".")[2]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _chain(first: Convert | None, then: Convert | None) -> Convert | None:
    if first is None or then is None:
        return first or then
    return lambda plain: then(first(plain))


def _decimal_problem(writer: Any, reader: Any) -> str | None:
    before, after = _decimal(writer), _decimal(reader)
    if before == after:
        return None
    if before is None or after is None:
        return f"the type changed from {_or_bytes(before)} to {_or_bytes(after)}"
    if before[1] != after[1]:
        return f"the decimal places changed from {before[1]} to {after[1]}"
    return f"the digits of the decimal went down from {before[0]} to {after[0]}" if before[0] > after[0] else None


def _decimal(schema: Any) -> tuple[int, int] | None:
    if isinstance(schema, Mapping) and schema.get("logicalType") == "decimal":
        return int(schema["precision"]), int(schema.get("scale", 0))
    return None


def _or_bytes(decimal: tuple[int, int] | None) -> str:
    return f"decimal({decimal[0]}, {decimal[1]})" if decimal else "bytes"


def _fixed_problem(writer: Any, reader: Any) -> str | None:
    if base_of(Shape(writer)) == "fixed" and writer.get("size") != reader.get("size"):
        return f"the size changed from {writer.get('size')} to {reader.get('size')}"
    return None
