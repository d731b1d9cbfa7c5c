"""Shapes of the types without parts: numbers, texts, days and times, decimals, enums.

Promises: each value survives the round trip unchanged, to the microsecond and to the last decimal.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from schemas.errors import UnsupportedType
from schemas.shape import Shape

EPOCH_DAY = date(1970, 1, 1).toordinal()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


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
    scale = found["decimal_places"]

    def write(value: Decimal) -> bytes:
        unscaled = int(value.scaleb(scale))
        return unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)

    def read(plain: bytes) -> Decimal:
        return Decimal(int.from_bytes(plain, "big", signed=True)).scaleb(-scale)

    schema = {"type": "bytes", "logicalType": "decimal", "precision": found["max_digits"], "scale": scale}
    return Shape(schema, write, read)


def enum_shape(enum: type[Enum], where: str) -> Shape:
    """Derive an Avro enum. Its symbols are the members' names, because values may be any text."""
    symbols = [member.name for member in enum]
    _check_symbols(symbols, where)
    members = dict(enum.__members__)
    return Shape(
        {"type": "enum", "name": enum.__name__, "symbols": symbols},
        lambda member: member.name,
        members.__getitem__,
    )


def literal_shape(values: Sequence[Any], where: str) -> Shape:
    """Derive an Avro enum of a Literal's strings, named after its field."""
    if not all(isinstance(value, str) for value in values):
        raise UnsupportedType(f"{where}: only a Literal of strings has an Avro type: use an Enum")
    _check_symbols(values, where)
    return Shape({"type": "enum", "name": where.replace(".", "_"), "symbols": list(values)})


def _check_symbols(symbols: Sequence[str], where: str) -> None:
    wrong = [symbol for symbol in symbols if not AVRO_NAME.match(symbol)]
    if wrong:
        raise UnsupportedType(f"{where}: {wrong[0]!r} is no Avro name: use an Enum with member names of letters")
