"""Avro from pydantic: the shape of a model is derived from its fields' annotations.

Promises: what `record_shape` accepts survives the round trip unchanged; what cannot be expressed is refused with the
field's name and what to use instead.

============================================  ==================================================
Python                                        Avro
============================================  ==================================================
bool, int, float, str, bytes                  boolean, long, double, string, bytes
Decimal (max_digits and decimal_places set)   bytes, decimal
date; AwareDatetime; UUID                     int, date; long, timestamp-micros; string, uuid
Enum; Literal of strings                      enum of the member names; of the strings
X | None                                      union with null
a union of models, or of plain scalars        union
list[X], tuple[X, ...]; dict[str, X]          array; map
a nested model                                record
Annotated[X, ...], NewType                    as X
============================================  ==================================================
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.advice import instead
from schemas.avro_records import check_model, default_of, record_of
from schemas.avro_scalars import SCALARS, decimal_shape, enum_shape, literal_shape
from schemas.errors import UnsupportedType
from schemas.shape import ABSENT, ArrayShape, Branch, EnumShape, MapShape, RecordShape, Shape, UnionShape

PLAIN = frozenset({bool, int, float, str, bytes})
NULL = Branch(NoneType, Shape("null"))


def record_shape(model: type[BaseModel]) -> RecordShape:
    """Derive the shape of a model.

    Raises:
        UnsupportedType: a field has a type that Avro cannot express.
    """
    return _Derivation().record(model, model.__name__)


def union_of(branches: Sequence[Branch]) -> UnionShape:
    """Return the union of the branches, in their order."""
    return UnionShape([each.shape.schema for each in branches], branches=tuple(branches))


class _Derivation:
    """One walk over a model. Avro defines a name once and refers to it afterwards, so the walk remembers names."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        self.open: list[type[BaseModel]] = []

    def record(self, model: type[BaseModel], where: str) -> RecordShape:
        if model in self.open:
            raise UnsupportedType(f"{where}: {model.__name__} contains itself: refer to the inner one by its id")
        check_model(model, where)
        known = self.define(model.__name__, model, where)
        self.open.append(model)
        shapes = {name: self.field(field, f"{model.__name__}.{name}") for name, field in model.model_fields.items()}
        self.open.pop()
        return record_of(model, shapes, model.__name__ if known else None)

    def define(self, name: str, meaning: Any, where: str) -> bool:
        """Remember what a name means; return whether it was known.

        Raises:
            UnsupportedType: the name already means something else.
        """
        if name in self.named and self.named[name] != meaning:
            raise UnsupportedType(f"{where}: two different types are both called {name}: rename one")
        known = name in self.named
        self.named[name] = meaning
        return known

    def field(self, field: FieldInfo, where: str) -> Shape:
        """Derive a field. A decimal's constraints are in `field.metadata`: pydantic takes outermost ones off."""
        annotation = field.annotation
        if annotation is Decimal or (_is_union(annotation) and Decimal in get_args(annotation)):
            decimal = decimal_shape(field.metadata, where)
            others = [each for each in get_args(annotation) if each is not Decimal]
            if not others:
                return decimal
            if others == [NoneType]:
                return _first(union_of([NULL, Branch(Decimal, decimal)]), default_of(field))
            raise UnsupportedType(f"{where}: a Decimal in a union with other types: wrap each in a model")
        shape = self.of(annotation, where)
        return _first(shape, default_of(field)) if isinstance(shape, UnionShape) else shape

    def of(self, annotation: Any, where: str) -> Shape:
        if isinstance(annotation, NewType):
            return self.of(annotation.__supertype__, where)
        if annotation in SCALARS:
            return SCALARS[annotation]
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.annotated(arguments, where)
        if origin in (Union, UnionType):
            return self.union(arguments, where)
        if origin in (list, tuple, dict):
            return self.container(origin, arguments, where)
        return self.named_type(annotation, where)

    def named_type(self, annotation: Any, where: str) -> Shape:
        if get_origin(annotation) is Literal:
            return self.once(literal_shape(get_args(annotation), where), get_args(annotation), where)
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return self.once(enum_shape(annotation, where), annotation, where)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.record(annotation, where)
        raise UnsupportedType(f"{where}: {instead(annotation)}")

    def once(self, shape: EnumShape, meaning: Any, where: str) -> EnumShape:
        """Return the enum, by its name alone if it was defined before."""
        known = self.define(shape.schema["name"], meaning, where)
        return EnumShape(shape.schema["name"], values=shape.values) if known else shape

    def annotated(self, arguments: tuple[Any, ...], where: str) -> Shape:
        if arguments[0] is Decimal:
            return decimal_shape(list(arguments[1:]), where)
        return self.of(arguments[0], where)

    def container(self, origin: Any, arguments: tuple[Any, ...], where: str) -> Shape:
        if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            raise UnsupportedType(f"{where}: a tuple of fixed length has no Avro type: use tuple[X, ...] or a model")
        if origin is dict and arguments[0] is not str:
            raise UnsupportedType(f"{where}: Avro's maps have str keys: use dict[str, X] or a list of models")
        item = self.of(arguments[1] if origin is dict else arguments[0], where)
        if origin is dict:
            return MapShape({"type": "map", "values": item.schema}, item=item)
        if isinstance(item, RecordShape) and not item.fields:
            # Its items would take no bytes, so that a reader could not tell a broken count from a true one.
            raise UnsupportedType(f"{where}: a list of models without fields is only a number: use an int")
        return ArrayShape({"type": "array", "items": item.schema}, item=item, kind=origin)

    def union(self, arguments: tuple[Any, ...], where: str) -> UnionShape:
        members = [_unwrapped(each) for each in arguments if each is not NoneType]
        null = [NULL] if NoneType in arguments else []
        if len(members) == 1:
            only = next(each for each in arguments if each is not NoneType)
            return union_of([*null, Branch(object, self.of(only, where))])
        if len(set(members)) < len(members):
            raise UnsupportedType(f"{where}: the union names a type twice: leave one out")
        if all(isinstance(each, type) and issubclass(each, BaseModel) for each in members) or PLAIN.issuperset(members):
            return union_of([*null, *(Branch(each, self.of(each, where)) for each in members)])
        raise UnsupportedType(f"{where}: a union may join models, or plain scalars, but not both: wrap it in models")


def _first(union: UnionShape, default: Any) -> UnionShape:
    """Return the union with its default's branch first, as Avro wants it."""
    for branch in union.branches if default is not ABSENT else ():
        if branch.kind is type(default) or (branch.kind in (object, Decimal) and default is not None):
            return union_of([branch, *(each for each in union.branches if each is not branch)])
    return union


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _unwrapped(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
