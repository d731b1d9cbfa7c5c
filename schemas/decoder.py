"""The decoder: one function for each shape, which reads its values from Avro.

Promises: it reads what fastavro reads and to the same values (tests/schemas/test_against_fastavro.py), faster
although it builds the models as well; it uses up the whole body and nothing else; each way of being wrong has its own
error.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from struct import Struct
from types import NoneType
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.errors import DecodingError, InvalidValue, TrailingBytes, TruncatedMessage
from schemas.shape import ArrayShape, EnumShape, MapShape, RecordShape, Shape, UnionShape
from schemas.source import Source
from schemas.values import SETTERS
from schemas.varint import length_tail, long_tail
from schemas.wire import HEADER_BYTES


def decoder(shape: RecordShape, *, validate: bool = False, told: str = "") -> Callable[[bytes], Any]:
    """Return the function (header and body) → value. Models are validated where that is asked.

    It raises a DecodingError for whatever is wrong with the bytes; `told` (the subject) begins its text.
    """
    return _whole(shape, lambda reader, values: reader.make(shape, values), validate=validate, told=told)


def message_decoder(
    shape: RecordShape, metadata: str, *, validate: bool = False, told: str = ""
) -> Callable[[bytes], tuple[Any, Any]]:
    """Return the function (header and body) → (message, metadata); `metadata` is the name of the metadata's field."""

    def made(reader: "_Reader", values: dict[str, str]) -> str:
        apart = values.pop(metadata)
        return f"{reader.make(shape, values)}, {apart}"

    return _whole(shape, made, validate=validate, told=told)


def bare_decoder(shape: RecordShape, metadata: str, *, told: str = "") -> Callable[[bytes], tuple[Any, None]]:
    """Return the function (header and body) → (message, None), which passes over the metadata instead of making it."""
    return _whole(shape, lambda reader, values: f"{reader.make(shape, values)}, None", passed=metadata, told=told)


def fields_decoder(
    shape: RecordShape, fields: Sequence[str], metadata: str, *, told: str = ""
) -> Callable[[bytes], tuple[tuple[Any, ...], None]]:
    """Return the function (header and body) → (the fields' values, None), which makes no message at all."""
    return _whole(
        shape, lambda _, values: f"({', '.join(values[name] for name in fields)},), None", passed=metadata, told=told
    )


def _whole(
    shape: RecordShape,
    made: "Callable[[_Reader, dict[str, str]], str]",
    *,
    passed: str | None = None,
    validate: bool = False,
    told: str = "",
) -> Callable[[bytes], Any]:
    """Return the function that reads a whole body, up to its last byte, and returns the expression that is `made`."""
    reader = _Reader(validate=validate, told=told)
    with reader.guarded():
        values = reader.fields(shape, passed=passed)
        reader.source.line("if i != len(data): raise uneven(data, i)")
        reader.source.line(f"return {made(reader, values)}")
    return reader.source.compiled(_NAMES)


def field_decoder(shape: RecordShape, field: str, told: str = "") -> Callable[[bytes], Any]:
    """Return the function (header and body) → the field's value, which reads no further than it must."""
    reader = _Reader(validate=False, told=told)
    with reader.guarded():
        values = reader.fields(shape, last=field)
        # A slice beyond the end is short, not an error.
        reader.source.line("if i > len(data): raise uneven(data, i)")
        reader.source.line(f"return {values[field]}")
    return reader.source.compiled(_NAMES)


def uneven(data: bytes, at: int) -> DecodingError:
    """Return the error of a body that did not end where its last field did."""
    if at > len(data):
        return TruncatedMessage("the body ends before its last field")
    return TrailingBytes(f"{len(data) - at} bytes are left after the last field")


def broken(error: Exception, data: bytes, at: int, told: str) -> DecodingError:
    """Return what it means that reading ran into an error; `at` is how far it believed to be."""
    meant = _meaning(error, data, at)
    return type(meant)(f"{told}: {meant}") if told else meant


def _meaning(error: Exception, data: bytes, at: int) -> DecodingError:
    if isinstance(error, IndexError | TruncatedMessage) or at > len(data):
        return TruncatedMessage("the body ends before its last field")
    if isinstance(error, DecodingError):
        return error
    if isinstance(error, ValidationError):
        return InvalidValue(described(error))
    return InvalidValue(f"the body is not what its schema says: {type(error).__name__} {error}")


def described(error: ValidationError) -> str:
    """Return the broken rules in one line."""
    problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return f"{error.title}: {'; '.join(problems)}"


def _too_many(data: bytes, at: int, count: int) -> None:
    """Refuse a count that the body cannot hold, before memory is spent on it."""
    if count > len(data) - at:
        raise TruncatedMessage("the body ends before its last item")


_DOUBLE = Struct("<d")
_FLOAT = Struct("<f")


def _read_float(number: Struct) -> Callable[[bytes, int], float]:
    def read(data: bytes, at: int) -> float:
        if at + number.size > len(data):
            raise TruncatedMessage("the body ends inside a number")
        return float(number.unpack_from(data, at)[0])

    return read


_NAMES = {
    **SETTERS,
    "broken": broken,
    "deepcopy": deepcopy,
    "double": _read_float(_DOUBLE),
    "float_": _read_float(_FLOAT),
    "length_tail": length_tail,
    "long_tail": long_tail,
    "make_tuple": tuple.__new__,
    "new": object.__new__,
    "too_many": _too_many,
    "uneven": uneven,
}
_BOOLEANS = {0: False, 1: True}


class _Reader:
    """Emits statements that read a value at `data[i]`, and returns the expression of the value."""

    def __init__(self, *, validate: bool, told: str) -> None:
        self.source = Source("decode(data)")
        self.validate = validate
        self.told = self.source.bind("told", told)

    def guarded(self) -> "_Guard":
        return _Guard(self.source, self.told)

    def fields(self, shape: RecordShape, last: str | None = None, passed: str | None = None) -> dict[str, str]:
        """Read a record's fields in order, up to `last`; return their expressions by name, constants among them.

        The one that is `passed` is gone past.
        """
        values = {name: self.constant(value) for name, value in shape.constants.items() if name != passed}
        if last in values:
            return values
        for name, inner in shape.fields.items():
            if name == passed:
                self.skip(inner)
            else:
                values[name] = self.read(inner)
            if name == last:
                break
        return values

    def skip(self, shape: Shape) -> None:
        """Go past a value: texts and bytes are neither cut out nor looked at."""
        if isinstance(shape, RecordShape):
            for inner in shape.fields.values():
                self.skip(inner)
        elif shape.schema in ("string", "bytes"):
            self.length("i")
        elif _is_whole_number(shape):
            self.source.line("while data[i] > 127: i += 1")
            self.source.line("i += 1")
        else:
            self.read(shape)

    def constant(self, value: Any) -> str:
        name = self.source.bind("c", value)
        return f"deepcopy({name})" if isinstance(value, list | dict | BaseModel) else name

    def read(self, shape: Shape) -> str:
        match shape:
            case RecordShape():
                return self.named(self.make(shape, self.fields(shape)))
            case UnionShape():
                return self.union(shape)
            case ArrayShape():
                return self.array(shape)
            case MapShape():
                return self.map(shape)
            case EnumShape():
                table = self.source.bind("symbols", dict(enumerate(shape.values.values())))
                return self.named(f"{table}[{self.long()}]")
            case _:
                return self.leaf(shape)

    def named(self, expression: str) -> str:
        name = self.source.fresh("v")
        self.source.line(f"{name} = {expression}")
        return name

    def leaf(self, shape: Shape) -> str:
        schema = shape.schema
        kind = schema["type"] if isinstance(schema, dict) else schema
        value = self.plain(kind, schema)
        if shape.read is None:
            return value
        return self.named(f"{self.source.bind('read', shape.read)}({value})")

    def plain(self, kind: str, schema: Any) -> str:
        if kind == "null":
            return "None"
        if kind == "boolean":
            value = self.named(f"{self.source.bind('booleans', _BOOLEANS)}[data[i]]")
            self.source.line("i += 1")
            return value
        if kind in ("double", "float"):
            value = self.named(f"{'double' if kind == 'double' else 'float_'}(data, i)")
            self.source.line(f"i += {8 if kind == 'double' else 4}")
            return value
        if kind in ("int", "long"):
            return self.long()
        if kind == "fixed":
            self.source.line(f"j = i + {int(schema['size'])}")
        else:
            self.length()
        value = self.named(f"data[i:j]{'.decode()' if kind == 'string' else ''}")
        self.source.line("i = j")
        return value

    def length(self, end: str = "j") -> None:
        """Read a length, and set j (or i) to where the value ends. One test finds the long and the negative ones."""
        self.source.line("n = data[i]; i += 1")
        self.source.line("if n & 129: n, i = length_tail(data, i, n)")
        self.source.line(f"{end} = i + (n >> 1)")

    def long(self) -> str:
        self.source.line("n = data[i]; i += 1")
        with self.source.block("if n > 127:"):
            # Two bytes in line: most numbers that have more than one have no more, and a call costs 0.15 µs.
            self.source.line("m = data[i]")
            self.source.line("if m < 128: n = n & 127 | m << 7; i += 1")
            self.source.line("else: n, i = long_tail(data, i, n)")
        return self.named("(n >> 1) ^ -(n & 1)")

    def union(self, shape: UnionShape) -> str:
        made = self.source.fresh("u")
        self.source.line("n = data[i]; i += 1")
        for at, branch in enumerate(shape.branches):
            with self.source.block(f"{'elif' if at else 'if'} n == {2 * at}:"):
                value = "None" if branch.kind is NoneType else self.read(branch.shape)
                self.source.line(f"{made} = {value}")
        with self.source.block("else:"):
            self.source.line("raise ValueError(f'a union has no branch {n / 2}')")
        return made

    def array(self, shape: ArrayShape) -> str:
        made = self.named("[]")
        with _Blocks(self):
            self.source.line(f"{made}.append({self.read(shape.item)})")
        return made if shape.kind is list else self.named(f"{self.source.bind('kind', shape.kind)}({made})")

    def map(self, shape: MapShape) -> str:
        made = self.named("{}")
        with _Blocks(self):
            key = self.plain("string", None)
            self.source.line(f"{made}[{key}] = {self.read(shape.item)}")
        return made

    def make(self, shape: RecordShape, values: dict[str, str]) -> str:
        """Return the expression of a record's value, from the expressions of its fields."""
        model = shape.model
        if issubclass(model, tuple):
            fields = ", ".join(values[name] for name in model._fields)  # type: ignore[attr-defined]
            return f"make_tuple({self.source.bind('model', model)}, ({fields},))"
        kept = model.model_fields if issubclass(model, BaseModel) else values
        fields = "{" + ", ".join(f"{name!r}: {values[name]}" for name in kept) + "}"
        if not issubclass(model, BaseModel):
            return fields
        if self.validate:
            return f"{self.source.bind('validate', model.__pydantic_validator__.validate_python)}({fields})"
        return self.construct(model, fields)

    def construct(self, model: type[BaseModel], fields: str) -> str:
        """Make a model as `schemas.values.construct` does, in line. The set of names is shared: none may change it."""
        made = self.named(f"new({self.source.bind('model', model)})")
        self.source.line(f"set_fields({made}, {fields})")
        self.source.line(f"set_names({made}, {self.source.bind('names', set(model.model_fields))})")
        self.source.line(f"set_extra({made}, None); set_private({made}, None)")
        return made


def _is_whole_number(shape: Shape) -> bool:
    kind = shape.schema.get("type") if isinstance(shape.schema, dict) else shape.schema
    return kind in ("int", "long")


class _Guard:
    """The frame of a decoding function: where it begins, and what becomes of an error."""

    def __init__(self, source: Source, told: str) -> None:
        self.source = source
        self.told = told
        self.block = source.block("try:")

    def __enter__(self) -> None:
        self.source.line(f"i = j = {HEADER_BYTES}")
        self.block.__enter__()

    def __exit__(self, *error: object) -> None:
        self.block.__exit__(None, None, None)
        with self.source.block("except Exception as error:"):
            self.source.line(f"raise broken(error, data, j if j > i else i, {self.told}) from None")


class _Blocks:
    """The loops around an item: blocks of a count and so many items, until a count of zero."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.source = reader.source
        self.count = reader.source.fresh("b")
        self.outer = self.source.block(f"while {self.count}:")
        self.inner = self.source.block(f"for _ in range({self.count}):")

    def _next(self) -> None:
        self.source.line(f"{self.count} = {self.reader.long()}")

    def __enter__(self) -> None:
        self._next()
        self.outer.__enter__()
        with self.source.block(f"if {self.count} < 0:"):
            # A negative count is followed by the block's size, for readers that skip.
            self.reader.long()
            self.source.line(f"{self.count} = -{self.count}")
        self.source.line(f"too_many(data, i, {self.count})")
        self.inner.__enter__()

    def __exit__(self, *error: object) -> None:
        self.inner.__exit__(None, None, None)
        self._next()
        self.outer.__exit__(None, None, None)
