"""Shapes of the types without parts: numbers, texts, days and times, decimals, enums.

Promises: each value survives the round trip unchanged, to the microsecond and to the last decimal; one that would not
is refused when it is written.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from schemas.errors import UnsupportedType
from schemas.shape import EnumShape, Shape

EPOCH_DAY = date(1970, 1, 1).toordinal()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


# A log speaks of few days many times over. A table in this module would be among what the code that folds is made of,
# and change its fingerprint with every day that was read.
@lru_cache(maxsize=100_000)
def _read_date(days: int) -> date:
    return date.fromordinal(days + EPOCH_DAY)


SCALARS: Mapping[Any, Shape] = {
    bool: Shape("boolean"),
    int: Shape("long"),
    float: Shape("double"),
    str: Shape("string"),
    bytes: Shape("bytes"),
    date: Shape({"type": "int", "logicalType": "date"}, lambda day: day.toordinal() - EPOCH_DAY, _read_date),
    AwareDatetime: Shape(
        {"type": "long", "logicalType": "timestamp-micros"},
        lambda moment: (moment - EPOCH) // MICROSECOND,
        lambda micros: EPOCH + micros * MICROSECOND,
    ),
    UUID: Shape({"type": "string", "logicalType": "uuid"}, str, UUID),
}


def decimal_shape(constraints: Sequence[Any], where: str) -> Shape:
    """Derive the shape of a Decimal from its constraints, which must give `max_digits` and `decimal_places`."""
    flat = [part for each in constraints for part in getattr(each, "metadata", [each])]
    found = {
        key: value
        for each in flat
        for key in ("max_digits", "decimal_places")
        if (value := getattr(each, key, None)) is not None
    }
    if len(found) != 2:
        raise UnsupportedType(f"{where}: a Decimal needs Field(max_digits=…, decimal_places=…), or use int cents")
    return decimal_of(found["max_digits"], found["decimal_places"])


def decimal_of(precision: int, scale: int) -> Shape:
    """Return the shape of decimals of so many digits, so many of them after the point."""

    def write(value: Decimal) -> bytes:
        unscaled = _unscaled(value, scale)
        if abs(unscaled) >= 10**precision:
            raise ValueError(f"{value} has more than {precision - scale} digits before the point")
        return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)

    def read(plain: bytes) -> Decimal:
        unscaled = int.from_bytes(plain, "big", signed=True)
        return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -scale))

    schema = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return Shape(schema, write, read)


def _unscaled(value: Decimal, scale: int) -> int:
    """Return value * 10**scale in exact arithmetic: Decimal's own rounds to the context's 28 digits."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a finite number")  # noqa: TRY004 - the value is wrong, not its type
    whole = int("".join(map(str, digits)) or "0")
    shift = exponent + scale
    if shift < 0:
        whole, lost = divmod(whole, 10 ** abs(shift))
        if lost:
            raise ValueError(f"{value} has more than {scale} decimal places")
        shift = 0
    unscaled: int = (-whole if sign else whole) * 10**shift
    return unscaled


def enum_shape(enum: type[Enum], where: str) -> EnumShape:
    """Derive an Avro enum. Its symbols are the members' names, because values may be any text."""
    symbols = [member.name for member in enum]
    _check_symbols(symbols, where)
    schema = {"type": "enum", "name": enum.__name__, "symbols": symbols}
    return EnumShape(schema, values={member.name: member for member in enum})


def literal_shape(values: Sequence[Any], where: str) -> EnumShape:
    """Derive an Avro enum of a Literal's strings, named after its field."""
    if not all(type(value) is str for value in values):
        raise UnsupportedType(f"{where}: only a Literal of strings has an Avro type: use an Enum")
    _check_symbols(values, where)
    schema = {"type": "enum", "name": where.replace(".", "_"), "symbols": list(values)}
    return EnumShape(schema, values={value: value for value in values})


def _check_symbols(symbols: Sequence[str], where: str) -> None:
    wrong = [symbol for symbol in symbols if not AVRO_NAME.match(symbol)]
    if wrong:
        raise UnsupportedType(f"{where}: {wrong[0]!r} is no Avro name: use an Enum with member names of letters")
    if not symbols:
        raise UnsupportedType(f"{where}: an enum without members has no values: give it one")
