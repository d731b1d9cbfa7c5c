"""Models that hypothesis makes: every type that Avro can express, nested, in containers, nullable, with defaults."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from types import GenericAlias
from typing import Annotated, Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, create_model

from schemas.messages import AggregateId, Event
from schemas.values import Value


class Colour(Enum):
    RED = 1
    GREEN = "green"
    BLUE = (0, 0, 255)


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Address(Value):
    """Where someone lives."""

    street: str
    zip_code: str | None = None
    built: date | None = None


class Circle(Value):
    radius: float


class Square(Value):
    side: float
    corner: Address | None = None


class Nothing(Value):
    """A model without fields."""


Money = Annotated[Decimal, Field(max_digits=20, decimal_places=2)]
Long = Annotated[Decimal, Field(max_digits=60, decimal_places=30)]

LONGS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text('abcé€😀\0 "', max_size=12) | st.sampled_from([64, 5000]).map("x".__mul__)
FLOATS = st.floats(allow_nan=False)
DATES = st.dates()
MOMENTS = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 - the zones are drawn
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=30))]),
)
MONEY = st.integers(-(10**20) + 1, 10**20 - 1).map(lambda cents: Decimal(cents).scaleb(-2))
ADDRESSES = st.builds(Address, street=TEXTS, zip_code=TEXTS | st.none(), built=DATES | st.none())
CIRCLES = st.builds(Circle, radius=FLOATS)
SQUARES = st.builds(Square, side=FLOATS, corner=ADDRESSES | st.none())


def _long(unscaled: int) -> Decimal:
    digits = tuple(map(int, str(abs(unscaled))))
    return Decimal((unscaled < 0, digits, -30))


LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (int, LONGS),
    (float, FLOATS),
    (str, TEXTS),
    (bytes, st.binary(max_size=20)),
    (date, DATES),
    (AwareDatetime, MOMENTS),
    (UUID, st.uuids()),
    (Money, MONEY),
    (Long, st.integers(-(10**60) + 1, 10**60 - 1).map(_long)),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Address, ADDRESSES),
    (Nothing, st.just(Nothing())),
    (Circle | Square, CIRCLES | SQUARES),
    (Circle | Square | None, CIRCLES | SQUARES | st.none()),
    (int | str, LONGS | TEXTS),
    (
        bool | int | float | str | bytes | None,
        st.booleans() | LONGS | FLOATS | TEXTS | st.binary(max_size=9) | st.none(),
    ),
]

Typed = tuple[Any, st.SearchStrategy[Any]]


def _in_list(item: Typed) -> Typed:
    return GenericAlias(list, (item[0],)), st.lists(item[1], max_size=3)


def _in_tuple(item: Typed) -> Typed:
    return GenericAlias(tuple, (item[0], ...)), st.lists(item[1], max_size=3).map(tuple)


def _in_dict(item: Typed) -> Typed:
    return GenericAlias(dict, (str, item[0])), st.dictionaries(TEXTS, item[1], max_size=3)


def _nullable(item: Typed) -> Typed:
    return item[0] | None, item[1] | st.none()


_WRAPS: list[Callable[[Typed], Typed]] = [_in_list, _in_tuple, _in_dict, _nullable]


@st.composite
def types(draw: st.DrawFn) -> Typed:
    """A type with the values of it."""
    typed: Typed = draw(st.sampled_from(LEAVES))
    for wrap in draw(st.lists(st.sampled_from(_WRAPS), max_size=3)):
        if not (typed[0] is Nothing and wrap in (_in_list, _in_tuple)):
            typed = wrap(typed)
    return typed


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Typed]:
    """Some fields of a model, by name."""
    return {f"f{number}": each for number, each in enumerate(draw(st.lists(types(), max_size=5)))}


def model_of(named: dict[str, Typed], base: type[BaseModel] = Value, name: str = "Made") -> type[BaseModel]:
    """A class with these fields."""
    return create_model(name, __base__=base, **{key: (kind, ...) for key, (kind, _) in named.items()})  # type: ignore[call-overload, no-any-return]


@st.composite
def events(draw: st.DrawFn) -> Event:
    """An event of a class that did not exist before."""
    named: dict[str, Typed] = {"thing_id": (Annotated[str, AggregateId], TEXTS), **draw(fields())}
    cls = model_of(named, Event)
    values = {name: draw(strategy) for name, (_, strategy) in named.items()}
    made = cls(**values)
    assert isinstance(made, Event)
    return made
