"""Columns: how a row model's fields are kept in PostgreSQL, in its natural types, and read back.

Promises: what is written is read back equal; the comment of a column is its field's description; a type that has no
natural column (a nested model, a list, a dict, a union) is kept as jsonb through pydantic.

====================================  =====================================
Python                                PostgreSQL
====================================  =====================================
bool, int, float, str, bytes          boolean, bigint, double precision, text, bytea
Decimal                               numeric, with its digits if they are declared
date; datetime; UUID                  date; timestamptz; uuid
Enum; Literal of strings              text (the value)
anything else                         jsonb
====================================  =====================================
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from schemas.values import construct
from streams.kernel.projection import Kept, Row

Convert = Callable[[Any], Any]

_NATURAL: dict[Any, str] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    str: "text",
    bytes: "bytea",
    Decimal: "numeric",
    date: "date",
    datetime: "timestamptz",
    timedelta: "interval",
    UUID: "uuid",
}
# Times, spans, decimals and documents are left to COPY, which knows the column.
_PLAIN = {_NATURAL[kind]: kind for kind in (bool, int, float, str, bytes, date, UUID)}


@dataclass(frozen=True, slots=True)
class Column:
    """One field as a column. `type` is PostgreSQL's; a converter that is None has nothing to do."""

    name: str
    type: str
    modifier: str
    nullable: bool
    comment: str
    write: Convert | None = None
    read: Convert | None = None


@dataclass(frozen=True, slots=True)
class RowShape:
    """The columns of a row model, the key first."""

    row: type[Row]
    columns: tuple[Column, ...]

    @property
    def key(self) -> Column:
        """The column of the key."""
        return self.columns[0]

    def key_to_column(self, key: Any) -> Any:
        """Return a row's key as the database knows it; these sort as the database sorts them."""
        write = self.key.write
        return key if write is None else write(key)

    def key_text(self, key: Any) -> str:
        """Return a row's key as text, for the books and for people."""
        return str(self.key_to_column(key))

    def key_of_text(self, text: str) -> Any:
        """Return the key that `key_text` wrote."""
        return TypeAdapter(self.row.model_fields[self.key.name].annotation).validate_strings(text)

    def to_columns(self, row: Row) -> tuple[Any, ...]:
        """Return a row's values as the database takes them."""
        fields = row.__dict__
        return tuple(
            fields[each.name] if each.write is None or fields[each.name] is None else each.write(fields[each.name])
            for each in self.columns
        )

    def from_columns(self, values: tuple[Any, ...]) -> Any:
        """Return the row of what the database gave."""
        fields = {
            each.name: value if each.read is None or value is None else each.read(value)
            for each, value in zip(self.columns, values, strict=True)
        }
        return construct(self.row, fields)


def plain_arrays(shape: RowShape, rows: Sequence[Row]) -> list[list[Any]] | None:
    """Return the rows by column, for `unnested`; None where a value is not of its column's own Python type.

    COPY is told each column's type and fits what it is given (a whole number for a float), or refuses it; an array has
    the type of what is in it.
    """
    arrays = [list(values) for values in zip(*map(shape.to_columns, rows), strict=True)]
    for column, values in zip(shape.columns, arrays, strict=True):
        kind = _PLAIN.get(column.type)
        if not all(value is None or _is_plain(value, kind) for value in values):
            return None
    return arrays


def _is_plain(value: Any, kind: type | None) -> bool:
    if type(value) is int and not -(2**63) <= value < 2**63:
        return False
    return type(value) is kind


def unnested(types: Iterable[str]) -> sql.Composed:
    """Return the rows that are given as one array a column, as a statement's source. `types`: the columns'."""
    arrays = [sql.SQL("%s::{}[]").format(sql.SQL(each)) for each in types]
    return sql.SQL("unnest({})").format(sql.SQL(", ").join(arrays))


def row_shape(projection: Kept) -> RowShape:
    """Return the columns of a projection's rows."""
    columns = tuple(_column(name, field) for name, field in projection.row.model_fields.items())
    return RowShape(projection.row, columns)


def _column(name: str, field: FieldInfo) -> Column:
    bare, nullable = _without_none(field.annotation)
    comment = field.description or ""
    if isinstance(bare, type) and issubclass(bare, Enum):
        return Column(name, "text", "", nullable, comment, lambda member: str(member.value), _by_value(bare))
    if get_origin(bare) is Literal and all(isinstance(each, str) for each in get_args(bare)):
        return Column(name, "text", "", nullable, comment)
    if bare in _NATURAL:
        return Column(name, _NATURAL[bare], _modifier(bare, field), nullable, comment)
    adapter: TypeAdapter[Any] = TypeAdapter(field.annotation)
    return Column(
        name, "jsonb", "", nullable, comment,
        lambda value: Jsonb(adapter.dump_python(value, mode="json")), adapter.validate_python,
    )  # fmt: skip


def _by_value(enum: type[Enum]) -> Convert:
    members = {str(member.value): member for member in enum}
    return members.__getitem__


def _without_none(annotation: Any) -> tuple[Any, bool]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _without_none(get_args(annotation)[0])
    if origin in (Union, UnionType):
        others = [each for each in get_args(annotation) if each is not NoneType]
        nullable = len(others) < len(get_args(annotation))
        return (_without_none(others[0])[0] if len(others) == 1 else annotation), nullable
    return annotation, False


def _modifier(bare: Any, field: FieldInfo) -> str:
    # In code-point order PostgreSQL sorts as Python does; keys are locked in that order.
    if bare is str:
        return 'COLLATE "C"'
    if bare is Decimal:
        digits = next((each.max_digits for each in field.metadata if getattr(each, "max_digits", None)), None)
        places = next((each.decimal_places for each in field.metadata if getattr(each, "decimal_places", None)), None)
        return f"({digits}, {places or 0})" if digits else ""
    return ""
