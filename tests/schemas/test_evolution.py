"""Schemas that change: what is compatible, what upcasters bridge, and that old events decode for ever."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model

from schemas.changes import changes
from schemas.codec import event_codec, message_schema
from schemas.compatibility import Mode, breaks
from schemas.errors import DecodingError, DefinitionError, InvalidValue, UnreadableVersion, UpcasterFailed, WrongType
from schemas.history import History
from schemas.messages import AggregateId, Event
from schemas.metadata import EventMetadata
from schemas.upcasting import Evolution, Fields, Upcaster
from schemas.values import Value
from tests.schemas.ids import MemoryIds

SaleId = Annotated[str, AggregateId]
METADATA = EventMetadata("c-1", "c", "k", "k", 1, 1_700_000_000_000)


class V1:
    class Sold(Event):
        sale_id: SaleId
        who: str
        dollars: int


class V2:
    class Sold(Event):
        sale_id: SaleId
        first_name: str
        last_name: str
        dollars: int


class V3:
    class Sold(Event):
        sale_id: SaleId
        first_name: str
        last_name: str
        dollars: int
        day: date | None = None


class Buyer(Value):
    first_name: str
    last_name: str = Field(min_length=1)


class Bought(Event):
    """Sold, as it is called today."""

    sale_id: SaleId
    buyer: Buyer
    cents: int
    day: date | None = None
    tags: list[str] = Field(default_factory=list)


def schema_of(cls: type[Event], namespace: str = "shop.sale") -> dict[str, Any]:
    return message_schema(cls, namespace, EventMetadata)


def split_name(fields: Fields) -> Fields:
    first, _, last = fields.pop("who").partition(" ")
    return {**fields, "first_name": first, "last_name": last}


def to_cents(fields: Fields) -> Fields:
    buyer = {"first_name": fields["first_name"], "last_name": fields["last_name"]}
    return {"sale_id": fields["sale_id"], "buyer": buyer, "cents": fields["dollars"] * 100, "day": fields["day"]}


HISTORY = History(
    {
        "sale.Sold": [schema_of(V1.Sold), schema_of(V2.Sold), schema_of(V3.Sold)],
        "sale.Bought": [schema_of(Bought)],
    }
)
UPCASTERS = [Upcaster("sale.Sold", 1, split_name), Upcaster("sale.Sold", 3, to_cents, to=("sale.Bought", 1))]
EVOLUTION = Evolution(HISTORY, UPCASTERS)


def today(ids: MemoryIds, evolution: Evolution = EVOLUTION) -> Any:
    return event_codec("t", "shop.sale", [Bought], ids, evolution)


def written(event: Event, ids: MemoryIds) -> bytes:
    return event_codec("t", "shop.sale", [type(event)], ids).encode(event, METADATA)


@pytest.mark.parametrize(
    ("old", "day"),
    [
        (V1.Sold(sale_id="1", who="Ada Lovelace", dollars=3), None),
        (V2.Sold(sale_id="1", first_name="Ada", last_name="Lovelace", dollars=3), None),
        (
            V3.Sold(sale_id="1", first_name="Ada", last_name="Lovelace", dollars=3, day=date(1843, 1, 2)),
            date(1843, 1, 2),
        ),
    ],
)
def test_every_version_decodes_into_todays_class(old: Event, day: date | None) -> None:
    ids = MemoryIds()
    data = written(old, ids)
    expected = Bought(sale_id="1", buyer=Buyer(first_name="Ada", last_name="Lovelace"), cents=300, day=day)
    assert today(ids).decode(data) == (expected, METADATA)
    assert today(ids).decode_metadata(data) == METADATA
    assert today(ids).decode(today(ids).encode(expected, METADATA)) == (expected, METADATA)


def test_fields_alone_are_those_of_the_whole_message() -> None:
    ids = MemoryIds()
    codec, names = today(ids), ("cents", "day", "sale_id")
    old = V2.Sold(sale_id="1", first_name="Ada", last_name="Lovelace", dollars=3)
    new = Bought(sale_id="2", buyer=Buyer(first_name="A", last_name="L"), cents=5, day=date(1843, 1, 2), tags=["x"])
    for data, values in (
        (written(old, ids), (300, None, "1")),
        (codec.encode(new, METADATA), (5, date(1843, 1, 2), "2")),
    ):
        kind, decode = codec.resolve_fields(data, kind=Bought, fields=names)
        assert (kind, decode(data)) == (Bought, (values, None))
        with pytest.raises(DecodingError, match=r"Sold|Bought"):
            decode(data[:-1])


def test_fields_alone_of_a_version_that_lacks_them_are_their_defaults() -> None:
    ids = MemoryIds()
    data = written(V2.Sold(sale_id="1", first_name="A", last_name="L", dollars=3), ids)
    codec = event_codec(
        "t", "shop.sale", [V3.Sold], ids, Evolution(History({"sale.Sold": HISTORY.versions["sale.Sold"]}))
    )
    _, decode = codec.resolve_fields(data, kind=V3.Sold, fields=("day", "dollars"))
    assert decode(data) == ((None, 3), None)


def test_the_whole_history_has_its_way() -> None:
    shape = event_codec("t", "shop.sale", [Bought], MemoryIds()).shapes[Bought]
    assert EVOLUTION.check({"sale.Bought": shape}) == []
    assert Evolution(HISTORY, UPCASTERS[1:]).check({"sale.Bought": shape}) == [
        "sale.Sold version 1: first_name: is new and has no default",
        "sale.Sold version 1: last_name: is new and has no default",
    ]
    gone = Evolution(HISTORY, UPCASTERS[:1]).check({"sale.Bought": shape})
    assert len(gone) == 3
    assert "there is no sale.Sold any more" in gone[0]


@pytest.mark.parametrize(
    ("upcasters", "complaint"),
    [
        ([*UPCASTERS, Upcaster("sale.Sold", 1, to_cents)], "two upcasters lead away from sale.Sold version 1"),
        ([*UPCASTERS, Upcaster("sale.Bought", 1, to_cents, to=("sale.Sold", 1))], "in a circle"),
        ([Upcaster("sale.Sold", 1, to_cents, to=("sale.Sold", 1))], "in a circle"),
        ([Upcaster("sale.Sold", 4, to_cents)], "sale.Sold has no version 4"),
        ([Upcaster("sale.Bought", 1, to_cents)], "sale.Bought has no version 2"),
        ([Upcaster("sale.Other", 1, to_cents)], "sale.Other has no version 1"),
    ],
)
def test_upcasters_that_form_no_chain_are_refused(upcasters: Sequence[Upcaster], complaint: str) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        Evolution(HISTORY, upcasters)


def _raises(fields: Fields) -> Fields:
    raise ZeroDivisionError(sorted(fields))


@pytest.mark.parametrize(
    ("upcast", "complaint"),
    [
        (_raises, "raised ZeroDivisionError"),
        (lambda fields: {**split_name(fields), "more": 1}, "more: there is no such field"),
        (lambda fields: {"sale_id": fields["sale_id"]}, "first_name: the field is missing"),
    ],
)
def test_an_upcaster_that_fails_is_named(upcast: Callable[[Fields], Fields], complaint: str) -> None:
    ids = MemoryIds()
    evolution = Evolution(HISTORY, [Upcaster("sale.Sold", 1, upcast), UPCASTERS[1]])
    with pytest.raises(UpcasterFailed, match=rf"sale\.Sold version 1.*{complaint}"):
        today(ids, evolution).decode(written(V1.Sold(sale_id="1", who="Ada L", dollars=3), ids))


def test_what_upcasters_make_keeps_todays_rules() -> None:
    ids = MemoryIds()
    with pytest.raises(InvalidValue, match="Buyer: last_name"):
        today(ids).decode(written(V1.Sold(sale_id="1", who="Ada", dollars=3), ids))


def test_an_unknown_version_is_taken_for_the_newest_that_reads_it() -> None:
    class Sold(Event):
        sale_id: SaleId
        note: str
        first_name: str
        last_name: str
        dollars: int

    ids = MemoryIds()
    data = written(Sold(sale_id="1", note="n", first_name="A", last_name="L", dollars=1), ids)
    assert today(ids).decode(data)[0].cents == 100

    class Strange(Event):
        sale_id: SaleId

    Strange.__name__ = "Sold"
    ids.schemas.append('{"type":"record","name":"shop.sale.Sold","fields":[{"name":"sale_id","type":"string"}]}')
    with pytest.raises(UnreadableVersion, match="none can read it"):
        today(ids).decode(b"\0\0\0\0\2\2a")


def test_a_record_that_is_gone_does_not_belong() -> None:
    ids = MemoryIds()
    data = written(V3.Sold(sale_id="1", first_name="A", last_name="L", dollars=1), ids)
    with pytest.raises(WrongType, match=r"shop\.sale\.Sold, which does not belong on t"):
        today(ids, Evolution(HISTORY)).decode(data)


class Dollars:
    class Paid(Event):
        sale_id: SaleId
        amount: int = Field(description="in dollars")


class Cents:
    class Paid(Event):
        sale_id: SaleId
        amount: int = Field(description="in cents")


class Rappen:
    class Paid(Event):
        sale_id: SaleId
        amount: int = Field(description="in rappen, and in no file yet")


def test_a_unit_may_change_though_the_bytes_do_not() -> None:
    ids = MemoryIds()
    history = History({"sale.Paid": [schema_of(Dollars.Paid), schema_of(Cents.Paid)]})
    upcaster = Upcaster("sale.Paid", 1, lambda fields: {**fields, "amount": fields["amount"] * 100})
    evolution = Evolution(history, [upcaster])
    cents = event_codec("t", "shop.sale", [Cents.Paid], ids, evolution)
    assert cents.decode(written(Dollars.Paid(sale_id="1", amount=3), ids))[0].amount == 300
    assert cents.decode(written(Cents.Paid(sale_id="1", amount=3), ids))[0].amount == 3
    rappen = event_codec("t", "shop.sale", [Rappen.Paid], ids, evolution)
    assert rappen.decode(written(Rappen.Paid(sale_id="1", amount=3), ids))[0].amount == 3


# Compatibility.


def _record(**fields: Any) -> dict[str, Any]:
    described = [each if isinstance(each, dict) else {"type": each} for each in fields.values()]
    named = [{"name": name, **each} for name, each in zip(fields, described, strict=True)]
    return {"type": "record", "name": "shop.R", "fields": named}


BACK, FORTH = "cannot read version 1: ", "version 1 cannot read it: "
NESTED = {"type": "record", "name": "N", "fields": [{"name": "x", "type": "long"}]}
WIDER = {"type": "record", "name": "N", "fields": [{"name": "x", "type": "string"}]}


@pytest.mark.parametrize(
    ("mode", "old", "new", "problem"),
    [
        (Mode.BACKWARD, _record(a="long"), _record(a="long", b="long"), BACK + "b: is new and has no default"),
        (Mode.BACKWARD, _record(a="long"), _record(a="string"), BACK + "a: the type changed from long to string"),
        (Mode.BACKWARD, _record(a=["null", "long"]), _record(a="long"), BACK + "a: the type changed from null to long"),
        (
            Mode.BACKWARD,
            _record(a={"type": NESTED}),
            _record(a={"type": WIDER}),
            BACK + "a.x: the type changed from long to string",
        ),
        (Mode.FORWARD, _record(a="long", b="long"), _record(a="long"), FORTH + "b: is new and has no default"),
        (Mode.FULL, _record(a="int"), _record(a="long"), FORTH + "a: the type changed from long to int"),
        (
            Mode.BACKWARD,
            _record(a={"type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}}),
            _record(a={"type": {"type": "enum", "name": "E", "symbols": ["A"]}}),
            BACK + "a: the enum E has lost B",
        ),
        (
            Mode.BACKWARD,
            _record(a={"type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}),
            _record(a={"type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}}),
            BACK + "a: the decimal places changed from 2 to 3",
        ),
    ],
)
def test_a_break_is_told_with_its_field(mode: Mode, old: Any, new: Any, problem: str) -> None:
    assert breaks(mode, [old], new) == [problem]
    assert breaks(Mode.NONE, [old], new) == []


def test_transitive_modes_look_at_all_versions() -> None:
    first, second, third = _record(a="long"), _record(), _record(a="string")
    with_default = _record(a={"type": "string", "default": ""})
    assert breaks(Mode.BACKWARD, [first, second], with_default) == []
    assert breaks(Mode.BACKWARD_TRANSITIVE, [first, second], with_default) == [
        BACK + "a: the type changed from long to string"
    ]
    assert breaks(Mode.FORWARD, [first, second], third) == []
    assert breaks(Mode.FORWARD_TRANSITIVE, [first, second], third) == [
        FORTH + "a: the type changed from string to long"
    ]
    # An upcaster reads version 1, so that Avro need not.
    assert breaks(Mode.BACKWARD_TRANSITIVE, [first, second], with_default, frozenset({1})) == []


def test_changes_are_told_in_sentences() -> None:
    old = _record(a="long", b="string", c={"type": "long", "doc": "old"}, d={"type": "long", "default": 1})
    new = _record(b="string", a=["null", "long"], c={"type": "long", "doc": "new"}, e={"type": NESTED}, d="long")
    assert changes(old, new) == [
        "a: the type changed from long to null | long",
        "c: other words describe it",
        "e: added, N, with no default",
        "d: the default changed from 1 to none",
        "the record: the fields are in another order",
    ]
    assert changes(old, old) == []


# Chains of compatible changes: whatever is done to a record, what was written before is still read.

FIELD_TYPES: list[tuple[Any, Any, st.SearchStrategy[Any]]] = [
    (int, 0, st.integers(-(2**63), 2**63 - 1)),
    (str, "", st.text("aé", max_size=4)),
    (float, 0.5, st.floats(allow_nan=False)),
    (bool, True, st.booleans()),
    (date | None, None, st.dates() | st.none()),
    (list[int], [1], st.lists(st.integers(0, 9), max_size=3)),
    (dict[str, str], {}, st.dictionaries(st.text("ab", max_size=2), st.text("xy", max_size=2), max_size=2)),
    (Buyer | None, None, st.builds(Buyer, first_name=st.text("a"), last_name=st.just("L")) | st.none()),
]
WIDER_TYPES = {int: float, str: str | None, float: float | None, bool: bool | None}


@st.composite
def chains(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Versions of one record: each adds fields with defaults, removes some, widens types, or changes the order."""
    fields = {f"f{at}": draw(st.sampled_from(FIELD_TYPES))[:2] for at in range(draw(st.integers(0, 3)))}
    versions = [dict(fields)]
    for step in range(draw(st.integers(1, 4))):
        for change in draw(st.lists(st.sampled_from(["add", "remove", "widen", "turn"]), min_size=1, max_size=3)):
            names = sorted(fields)
            if change == "add":
                # A name that was used before may come back with another type only if nobody wrote it: so never.
                fields[f"g{step}_{len(names)}"] = draw(st.sampled_from(FIELD_TYPES))[:2]
            elif names and change == "remove":
                del fields[draw(st.sampled_from(names))]
            elif names and change == "widen":
                name = draw(st.sampled_from(names))
                kind, default = fields[name]
                fields[name] = (WIDER_TYPES.get(kind, kind), default)
            else:
                fields = dict(reversed(fields.items()))
        versions.append(dict(fields))
    return versions


def _event(fields: dict[str, Any]) -> Any:
    return create_model("Thing", __base__=Event, thing_id=(SaleId, ...), **fields)


@given(chains(), st.data())
def test_every_old_event_of_a_chain_decodes(chain: list[dict[str, Any]], data: st.DataObject) -> None:
    classes = [_event(fields) for fields in chain]
    schemas = [schema_of(cls, "shop.thing") for cls in classes]
    ids = MemoryIds()
    evolution = Evolution(History({"thing.Thing": schemas}))
    codec = event_codec("t", "shop.thing", [classes[-1]], ids, evolution)
    assert breaks(Mode.BACKWARD_TRANSITIVE, schemas[:-1], schemas[-1]) == []
    assert evolution.check({"thing.Thing": codec.shapes[classes[-1]]}) == []
    strategies = {str(kind): strategy for kind, _, strategy in FIELD_TYPES}
    for cls, fields in zip(classes, chain, strict=True):
        values = {
            name: data.draw(strategies[str(kind)]) if str(kind) in strategies else default
            for name, (kind, default) in fields.items()
        }
        old = cls(thing_id="1", **values)
        new, metadata = codec.decode(event_codec("t", "shop.thing", [cls], ids).encode(old, METADATA))
        assert metadata == METADATA
        kept = {name: value for name, value in values.items() if name in chain[-1]}
        assert new == classes[-1](thing_id="1", **kept)
