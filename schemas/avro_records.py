"""Records: how a model's fields become a record's, with their descriptions and defaults.

Promises: a default in the schema is the default in Python, in the form that Avro demands (of the union's first
branch; bytes as text). A default that a factory makes is not published, unless the factory is `list` or `dict`.
"""

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from schemas.avro_foreign import base_of
from schemas.avro_scalars import AVRO_NAME
from schemas.errors import UnsupportedType
from schemas.shape import ABSENT, ArrayShape, EnumShape, MapShape, RecordShape, Shape, UnionShape

_PLAIN: Mapping[str, tuple[type[Any], ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "double": (float, int),
    "string": (str,),
    "bytes": (bytes,),
}


def record_of(model: type[BaseModel], shapes: Mapping[str, Shape], reference: str | None) -> RecordShape:
    """Return the record of a model with its fields' shapes; `reference` is its name, if it was defined before."""
    defaults = {
        name: default for name, field in model.model_fields.items() if (default := default_of(field)) is not ABSENT
    }
    schema: Any = reference or _schema(model, shapes, defaults)
    return RecordShape(schema, model=model, fields=shapes, defaults=defaults)


def check_model(model: type[BaseModel], where: str) -> None:
    """Refuse what a model can do and a record cannot.

    Raises:
        UnsupportedType: naming the model or its field.
    """
    if not AVRO_NAME.match(model.__name__):
        raise UnsupportedType(f"{where}: {model.__name__!r} is no Avro name: make a subclass with a plain name")
    for name, field in model.model_fields.items():
        if not AVRO_NAME.match(name):
            raise UnsupportedType(
                f"{model.__name__}.{name}: not an Avro name: use the letters a-z, digits, underscores"
            )
        if field.alias or field.validation_alias or field.serialization_alias:
            raise UnsupportedType(f"{model.__name__}.{name}: aliases are not published: give the field the name itself")
        if field.discriminator and not isinstance(field.discriminator, str):
            raise UnsupportedType(f"{model.__name__}.{name}: a discriminator must be a field's name")
    if model.__private_attributes__:
        name = next(iter(model.__private_attributes__))
        raise UnsupportedType(f"{model.__name__}.{name}: a private attribute is not published: make it a field")


def default_of(field: FieldInfo) -> Any:
    """Return the field's default, or ABSENT."""
    if field.default_factory in (list, dict, tuple):
        return field.default_factory()
    return ABSENT if field.default is PydanticUndefined else field.default


def _schema(model: type[BaseModel], shapes: Mapping[str, Shape], defaults: Mapping[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "record", "name": model.__name__}
    if model.__doc__:
        schema["doc"] = " ".join(model.__doc__.split())
    schema["fields"] = [
        _field(model, name, field, shapes[name], defaults.get(name, ABSENT))
        for name, field in model.model_fields.items()
    ]
    return schema


def _field(model: type[BaseModel], name: str, field: FieldInfo, shape: Shape, default: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "type": shape.schema}
    if field.description:
        described["doc"] = field.description
    if default is not ABSENT:
        try:
            described["default"] = default_json(shape, default)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise UnsupportedType(
                f"{model.__name__}.{name}: its default {default!r} does not fit its type: {error}"
            ) from error
    return described


def default_json(shape: Shape, value: Any) -> Any:
    """Return a value as Avro writes defaults: JSON, without the name of a union's branch."""
    match shape:
        case EnumShape():
            return {each: symbol for symbol, each in shape.values.items()}[value]
        case RecordShape():
            return {name: default_json(inner, getattr(value, name)) for name, inner in shape.fields.items()}
        case ArrayShape():
            return [default_json(shape.item, each) for each in value]
        case MapShape():
            return {key: default_json(shape.item, each) for key, each in value.items()}
        case UnionShape():
            return _union_default(shape, value)
        case _:
            return _plain_default(base_of(shape), shape.to_avro(value))


def _union_default(shape: UnionShape, value: Any) -> Any:
    first = shape.branches[0]
    if first.kind is not object and not isinstance(value, first.kind):
        raise ValueError("inside a default, a union can only have a value of its first type")
    return default_json(first.shape, value) if value is not None or first.kind is object else None


def _plain_default(kind: str, plain: Any) -> Any:
    if type(plain) not in _PLAIN[kind]:
        raise TypeError(f"it is a {type(plain).__name__}")
    if isinstance(plain, bytes):
        return plain.decode("latin-1")
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError("JSON has no such number")
    return plain
