"""Defaults: those in the schema are those in Python, whatever their type."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType

import fastavro
import pytest
from pydantic import AwareDatetime, Field, create_model

from schemas.avro import record_shape
from schemas.avro_foreign import foreign_record
from schemas.decoder import decoder
from schemas.resolution import resolve
from schemas.shape import RecordShape
from schemas.values import Value
from tests.schemas import fast_avro
from tests.schemas.models import Address, Circle, Colour, Square

Cents = Annotated[Decimal, Field(max_digits=9, decimal_places=2)]
HEADER = b"\0\0\0\0\1"


class Kind(str, Enum):  # noqa: UP042 - an enum whose members are texts as well
    OLD = "old-fashioned"


@pytest.mark.parametrize(
    ("kind", "default", "published"),
    [
        (int, 3, 3),
        (bool, False, False),
        (float, 0.5, 0.5),
        (str, "é", "é"),
        (bytes, b"\xff\0", "ÿ\0"),
        (Cents, Decimal("1.50"), "\0\x96"),
        (Cents | None, Decimal("1.50"), "\0\x96"),
        (date, date(1970, 1, 3), 2),
        (AwareDatetime, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 1_000_000),
        (Colour, Colour.BLUE, "BLUE"),
        (Colour | None, Colour.BLUE, "BLUE"),
        (Kind, Kind.OLD, "OLD"),
        (Literal["a", "b"], "b", "b"),
        (Literal["a", "b"] | None, "b", "b"),
        (str | None, None, None),
        (str | None, "text", "text"),
        (int | str | None, "text", "text"),
        (list[int], [1, 2], [1, 2]),
        (tuple[Colour, ...], (Colour.RED,), ["RED"]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Address, Address(street="Here"), {"street": "Here", "zip_code": None, "built": None}),
        (Circle | Square, Square(side=1.0), {"side": 1.0, "corner": None}),
        (NewType("Metres", int), 5, 5),
    ],
)
def test_a_default_is_published_and_taken_for_a_field_that_the_writer_lacks(
    kind: Any, default: Any, published: Any
) -> None:
    model = create_model("Made", __base__=Value, added=(kind, default))
    shape = record_shape(model)
    field = shape.schema["fields"][0]
    assert field["default"] == published
    fastavro.parse_schema(shape.schema)
    assert fast_avro.read({**shape.schema, "fields": []}, b"", shape.schema) == {"added": published}
    _check_taken(model, shape, default)


def _check_taken(model: type[Value], shape: RecordShape, default: Any) -> None:
    older = resolve({"type": "record", "name": "Made", "fields": []}, shape)
    assert not older.problems
    assert isinstance(older.shape, RecordShape)
    read = decoder(older.shape)(HEADER)
    assert read == model()
    assert read.added == default
    # Each instance has its own: one caller's list is not another's.
    assert not isinstance(default, list | dict) or read.added is not decoder(older.shape)(HEADER).added
    assert set(foreign_record(shape.schema).defaults) == {"added"}


def test_a_default_that_a_factory_makes_is_not_published() -> None:
    model = create_model("Made", __base__=Value, made=(int, Field(default_factory=lambda: 3)))
    assert "default" not in record_shape(model).schema["fields"][0]


def test_empty_containers_by_factory_are_published() -> None:
    model = create_model("Made", __base__=Value, made=(list[int], Field(default_factory=list, description="Numbers.")))
    assert record_shape(model).schema["fields"][0] == {
        "name": "made", "type": {"type": "array", "items": "long"}, "doc": "Numbers.", "default": [],
    }  # fmt: skip
