"""What Avro cannot express is refused when the class is made, with the field's name and what to use instead."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ForwardRef, Generic, Literal, TypeVar

import pytest
from pydantic import Field, PrivateAttr, create_model

from schemas.avro import record_shape
from schemas.errors import DefinitionError, UnsupportedType
from schemas.messages import AggregateId, Event
from schemas.values import Value

X = TypeVar("X")


class Inner(Value):
    number: int


class Empty(Value):
    """Nothing."""


class NoMembers(Enum):
    """Nothing."""


class Odd(Enum):
    prénom = 1


class Colour(str, Enum):  # noqa: UP042 - a Literal of such a member looks like a text
    RED = "red"


def other_inner() -> type[Value]:
    return create_model("Inner", __base__=Value, text=(str, ...))


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (datetime, "AwareDatetime"),
        (time, "int of seconds"),
        (timedelta, "the unit in the field's name"),
        (Any, "say the type"),
        (object, "say the type"),
        (None, "X | None"),
        (complex, "two floats"),
        (set[int], "tuple[X, ...]"),
        (frozenset[int], "tuple[X, ...]"),
        (list, "items' type"),
        (dict, "values' type"),
        (tuple[int, str], "fixed length"),
        (dict[int, str], "str keys"),
        (list[datetime], "AwareDatetime"),
        (dict[str, list[Any]], "say the type"),
        (Decimal, "max_digits"),
        (Decimal | None, "max_digits"),
        (list[Decimal], "max_digits"),
        (dict[str, Decimal], "max_digits"),
        (Annotated[Decimal, Field(max_digits=9)], "decimal_places"),
        (Literal[1, 2], "use an Enum"),
        (Literal["a-b"], "no Avro name"),
        (Literal[Colour.RED], "use an Enum"),
        (Odd, "no Avro name"),
        (NoMembers, "give it one"),
        (int | Inner, "not both"),
        (date | str, "not both"),
        (Annotated[int, Field(gt=0)] | Annotated[int, Field(lt=0)], "leave one out"),
        (list[Empty], "use an int"),
        (Inner | other_inner(), "rename one"),
    ],
)
def test_a_type_is_refused_with_its_field_and_advice(kind: Any, advice: str) -> None:
    with pytest.raises(UnsupportedType) as caught:
        record_shape(create_model("Made", __base__=Value, wrong=(kind, ...)))
    assert str(caught.value).startswith("Made.wrong: ")
    assert advice in str(caught.value)


def test_a_decimal_with_its_digits_given_around_a_union_is_refused() -> None:
    field = Field(max_digits=9, decimal_places=2)
    with pytest.raises(UnsupportedType, match=r"Made\.wrong: .*wrap each in a model"):
        record_shape(create_model("Made", __base__=Value, wrong=(Decimal | str, field)))


@pytest.mark.parametrize(
    ("kind", "default"),
    [(float, float("nan")), (int | None, "text"), (list[int | None], [1]), (str, 5)],
)
def test_a_default_that_does_not_fit_is_refused(kind: Any, default: Any) -> None:
    with pytest.raises(UnsupportedType, match=r"Made\.wrong: its default"):
        record_shape(create_model("Made", __base__=Value, wrong=(kind, default)))


def test_a_model_that_contains_itself_is_refused() -> None:
    class Tree(Value):
        branches: "tuple[Tree, ...]" = ()

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    with pytest.raises(UnsupportedType, match=r"Tree\.branches: Tree contains itself"):
        record_shape(Tree)


def test_a_type_that_is_not_defined_yet_is_refused() -> None:
    with pytest.raises(UnsupportedType, match=r"Made\.wrong: Later is not defined yet"):
        record_shape(create_model("Made", __base__=Value, wrong=(ForwardRef("Later"), ...)))


def test_aliases_private_attributes_and_odd_names_are_refused() -> None:
    class Alias(Value):
        name: str = Field(alias="NAME")

    class Private(Value):
        _hidden: int = PrivateAttr(default=0)

    class Name(Value):
        prénom: str

    class Box(Value, Generic[X]):
        inside: X

    for model, named in ((Alias, "Alias.name"), (Private, "Private._hidden"), (Name, "Name.prénom"), (Box[int], "Box")):
        with pytest.raises(UnsupportedType, match=named):
            record_shape(model)


def test_a_message_is_refused_as_soon_as_its_class_is_made() -> None:
    with pytest.raises(UnsupportedType, match=r"Wrong\.at: .*AwareDatetime"):

        class Wrong(Event):
            thing_id: Annotated[str, AggregateId]
            at: datetime


def test_a_message_needs_one_aggregate_id_and_leaves_the_platforms_field_alone() -> None:
    with pytest.raises(DefinitionError, match="exactly one field"):

        class Unmarked(Event):
            thing_id: str

    with pytest.raises(DefinitionError, match=r"Taken\.metadata"):

        class Taken(Event):
            thing_id: Annotated[str, AggregateId]
            metadata: str
