"""Conforming: giving fields that an upcaster made the form of a shape.

Promises: missing fields take their defaults; a field that cannot be found, a symbol that is none, and a value that
breaks the class's own rules are errors with the field's path.
"""

from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.decoder import described
from schemas.errors import InvalidValue
from schemas.shape import ArrayShape, EnumShape, MapShape, RecordShape, Shape, UnionShape


def conform(shape: Shape, value: Any, *, strict: bool, path: str = "") -> Any:
    """Return the value in the form of the shape. `strict` refuses fields that the shape does not have.

    Raises:
        InvalidValue: it has not that form.
    """
    match shape:
        case RecordShape():
            return _record(shape, value, strict=strict, path=path)
        case UnionShape():
            return _branch(shape, value, strict=strict, path=path)
        case ArrayShape():
            return shape.kind(conform(shape.item, each, strict=strict, path=f"{path}[]") for each in value)
        case MapShape():
            return {key: conform(shape.item, each, strict=strict, path=f"{path}.{key}") for key, each in value.items()}
        case EnumShape():
            if value not in shape.values:
                raise InvalidValue(f"{path}: {value!r} is none of {', '.join(shape.values)}")
            return shape.values[value]
        case _:
            return value


def _record(shape: RecordShape, value: Any, *, strict: bool, path: str) -> Any:
    if not isinstance(value, dict):
        # A default is already what it shall be.
        return value
    unknown = value.keys() - shape.fields.keys()
    if strict and unknown:
        raise InvalidValue(f"{_join(path, min(unknown))}: there is no such field")
    made = {}
    for name, inner in shape.fields.items():
        if name in value:
            made[name] = conform(inner, value[name], strict=strict, path=_join(path, name))
        elif name in shape.defaults:
            made[name] = shape.defaults[name]
        else:
            raise InvalidValue(f"{_join(path, name)}: the field is missing and has no default")
    return _validated(shape.model, made) if issubclass(shape.model, BaseModel) else made


def _validated(model: type[BaseModel], fields: dict[str, Any]) -> BaseModel:
    try:
        return model.__pydantic_validator__.validate_python(fields)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise InvalidValue(described(error)) from None


def _branch(shape: UnionShape, value: Any, *, strict: bool, path: str) -> Any:
    """Take the first branch of a union that the value has the form of."""
    if value is None:
        return None
    problems = []
    for branch in shape.branches:
        if branch.kind in (object, type(value)) or isinstance(branch.shape, RecordShape):
            try:
                return conform(branch.shape, value, strict=isinstance(branch.shape, RecordShape) or strict, path=path)
            except InvalidValue as error:
                problems.append(str(error))
    raise InvalidValue("; ".join(problems) or f"{path}: a {type(value).__name__} is none of the union's types")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
