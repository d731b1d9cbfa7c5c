"""The codec of a topic: values that do not fit, and every way in which bytes can be wrong."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from schemas.codec import command_codec, event_codec
from schemas.errors import (
    DecodingError,
    EncodingError,
    InvalidValue,
    TrailingBytes,
    TruncatedMessage,
    UnknownSchemaId,
    UnreadableVersion,
    WrongMagicByte,
    WrongType,
)
from schemas.messages import AggregateId, Command, Event
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import Outcome, OutcomeCodec
from schemas.registry import canonical
from schemas.shop.accounts import AccountOpened, PurchaseRecorded
from schemas.values import Value
from schemas.wire import HEADER_BYTES
from tests.schemas.ids import MemoryIds

ThingId = Annotated[str, AggregateId]


class Part(Value):
    """A part that is never negative."""

    weight: int = Field(ge=0)


class Order(Command[None, str]):
    """Rules at every depth."""

    thing_id: ThingId = Field(min_length=1)
    parts: tuple[Part, ...] = ()
    spare: Part | None = None


class Ordered(Event):
    """A bit of everything that may not fit."""

    thing_id: ThingId
    number: int = 0
    price: Annotated[Decimal, Field(max_digits=6, decimal_places=2)] = Decimal(0)
    name: str | None = None
    weight: float = 0.0
    urgent: bool = False
    raw: bytes = b""
    part: Part | None = None


METADATA = EventMetadata("c-1", "c", "k", "k", 1, 1_700_000_000_000)
EVENT = PurchaseRecorded(account_id="é1", purchase_id="p", day=date(1997, 1, 1), quantity=2, amount_cents=2933)
OUTCOME = Outcome("c", "Order", "accepted", 3, None, [5, 6], "null", None, None, "k", 1_700_000_000_000)


def test_a_message_of_another_topic_is_refused() -> None:
    codec = event_codec("t", "shop.account", [AccountOpened], MemoryIds())
    with pytest.raises(EncodingError, match="PurchaseRecorded does not belong on t"):
        codec.encode(EVENT, METADATA)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", 2**63),
        ("number", -(2**63) - 1),
        ("number", 1.5),
        ("number", "5"),
        ("number", None),
        ("price", Decimal("12345.67")),
        ("price", Decimal("1.234")),
        ("price", Decimal("NaN")),
        ("price", Decimal("Infinity")),
        ("price", 1.5),
        ("name", 5),
        ("name", "\ud800"),
        ("weight", "heavy"),
        ("urgent", "yes"),
        ("urgent", []),
        ("raw", "text"),
        ("part", "text"),
        ("part", EVENT),
        ("thing_id", None),
    ],
)
def test_a_value_that_does_not_fit_is_named(field: str, value: Any) -> None:
    codec = event_codec("t", "shop", [Ordered], MemoryIds())
    with pytest.raises(EncodingError, match=rf"^Ordered\.{field}: "):
        codec.encode(Ordered(thing_id="1").but(**{field: value}), METADATA)


def test_metadata_that_does_not_fit_is_named() -> None:
    codec = event_codec("t", "shop", [Ordered], MemoryIds())
    with pytest.raises(EncodingError, match=r"^Ordered\.metadata: "):
        codec.encode(Ordered(thing_id="1"), METADATA._replace(version=2**63))


def test_an_outcome_that_does_not_fit_is_refused() -> None:
    with pytest.raises(EncodingError, match="the outcome of c does not fit"):
        OutcomeCodec("o", MemoryIds()).encode(OUTCOME._replace(status="maybe"))


def test_a_decimal_keeps_all_of_its_digits() -> None:
    codec = event_codec("t", "shop", [Ordered], MemoryIds())
    for text in ("9999.99", "-9999.99", "0.01", "-0.01", "1E+3", "0", "-0.00", "1.10"):
        decoded, _ = codec.decode(codec.encode(Ordered(thing_id="1", price=Decimal(text)), METADATA))
        assert decoded.price == Decimal(text)


# Every way of being wrong has its own error.


def test_no_bytes_and_a_broken_header() -> None:
    codec = event_codec("t", "shop.account", [PurchaseRecorded], MemoryIds())
    data = codec.encode(EVENT, METADATA)
    for short in (b"", data[:4], None):
        with pytest.raises(TruncatedMessage):
            codec.decode(short)  # type: ignore[arg-type]
    with pytest.raises(WrongMagicByte, match="0x7b"):
        codec.decode(b'{"json": 1}')
    with pytest.raises(UnknownSchemaId, match="77"):
        codec.decode(b"\0\0\0\0\x4d" + data[5:])


def test_an_id_of_another_type() -> None:
    ids = MemoryIds()
    codec = event_codec("t", "shop.account", [PurchaseRecorded], ids)
    for data in (
        OutcomeCodec("o", ids).encode(OUTCOME),
        event_codec("t", "shop.account", [AccountOpened], ids).encode(AccountOpened(account_id="1"), METADATA),
        event_codec("t", "other", [PurchaseRecorded], ids).encode(EVENT, METADATA),
    ):
        with pytest.raises(WrongType, match="does not belong on t"):
            codec.decode(data)
        with pytest.raises(WrongType, match="does not belong on t"):
            codec.decode_metadata(data)
    with pytest.raises(WrongType, match="is no outcome"):
        OutcomeCodec("o", ids).decode(codec.encode(EVENT, METADATA))


@pytest.mark.parametrize("schema", ['"string"', "[]", "no json", '{"type": "protobuf"}', '["null", "int"]', "7"])
def test_an_id_of_what_is_no_record(schema: str) -> None:
    ids = MemoryIds()
    ids.schemas.append(schema)
    for codec in (event_codec("t", "shop.account", [PurchaseRecorded], ids), OutcomeCodec("o", ids)):
        with pytest.raises(WrongType):
            codec.decode(b"\0\0\0\0\1\0")


def test_a_body_cut_at_every_byte() -> None:
    ids = MemoryIds()
    events = event_codec("t", "shop.account", [PurchaseRecorded], ids)
    outcomes = OutcomeCodec("o", ids)
    event, outcome = events.encode(EVENT, METADATA), outcomes.encode(OUTCOME)
    for codec, data, subject in (
        (events, event, "t-shop.account.PurchaseRecorded: "),
        (outcomes, outcome, "o-kafold.Outcome: "),
    ):
        codec.decode(data)
        for end in range(len(data)):
            with pytest.raises(TruncatedMessage) as caught:
                codec.decode(data[:end])
            # The position is the dead letter's; the subject is in the text, once the header says what it is.
            assert end < HEADER_BYTES or str(caught.value).startswith(subject)


def test_bytes_left_over() -> None:
    codec = event_codec("t", "shop.account", [PurchaseRecorded], MemoryIds())
    with pytest.raises(TrailingBytes, match="2 bytes are left"):
        codec.decode(codec.encode(EVENT, METADATA) + b"\0\0")


@given(st.binary(max_size=60), st.integers(0, 200))
def test_garbage_is_a_decoding_error_and_never_another(garbage: bytes, cut: int) -> None:
    ids = MemoryIds()
    commands = command_codec("c", "shop", [Order], ids)
    whole = commands.encode(Order(thing_id="1", parts=(Part(weight=1),), spare=Part(weight=2)), CommandMetadata("c"))
    for data in (whole[:5] + garbage, whole[: cut % len(whole)] + garbage):
        try:
            commands.decode(data)
            commands.decode_metadata(data)
        except DecodingError:
            pass


def test_a_count_that_the_body_cannot_hold_takes_no_memory() -> None:
    commands = command_codec("c", "shop", [Order], MemoryIds())
    header = commands.encode(Order(thing_id="1"), CommandMetadata())[:5]
    with pytest.raises(TruncatedMessage):
        commands.decode(header + b"\0" * 5 + b"\x02a" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" + b"\0" * 50)


# Rules of the message's own: for commands, which anyone may send, at every depth.


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (Order.model_construct(thing_id="", parts=(), spare=None), "Order: thing_id"),
        (Order.model_construct(thing_id="1", parts=(Part.model_construct(weight=-1),), spare=None), "Part: weight"),
        (Order.model_construct(thing_id="1", parts=(), spare=Part.model_construct(weight=-1)), "Part: weight"),
    ],
)
def test_a_command_that_breaks_its_own_rules_is_refused(command: Order, complaint: str) -> None:
    codec = command_codec("c", "shop", [Order], MemoryIds())
    with pytest.raises(InvalidValue, match=complaint):
        codec.decode(codec.encode(command, CommandMetadata()))


def test_an_event_is_believed() -> None:
    codec = event_codec("t", "shop", [Ordered], MemoryIds())
    event = Ordered.model_construct(**{**Ordered(thing_id="1").facts(), "part": Part.model_construct(weight=-1)})
    assert codec.decode(codec.encode(event, METADATA)) == (event, METADATA)


# Schemas of others.


def _registered(ids: MemoryIds, schema: dict[str, Any]) -> bytes:
    return b"\0\0\0\0" + bytes([ids.id_of("", canonical(schema))])


def test_a_command_may_come_without_metadata() -> None:
    ids = MemoryIds()
    header = _registered(
        ids,
        {"type": "record", "name": "shop.Order", "fields": [{"name": "note", "type": "string"},
                                                            {"name": "thing_id", "type": "string"}]},
    )  # fmt: skip
    codec = command_codec("c", "shop", [Order], ids)
    assert codec.decode(header + b"\x02n\x02a") == (Order(thing_id="a"), CommandMetadata())
    assert codec.decode_metadata(header + b"\x02n\x02a") == CommandMetadata()


def test_a_schema_that_today_cannot_read_says_why() -> None:
    ids = MemoryIds()
    header = _registered(ids, {"type": "record", "name": "shop.Order", "fields": [{"name": "thing_id", "type": "int"}]})
    with pytest.raises(
        UnreadableVersion, match=r"shop\.Order of schema id 1: thing_id: the type changed from int to str"
    ):
        command_codec("c", "shop", [Order], ids).decode(header + b"\x02")


def test_without_its_metadata_a_message_is_the_same_and_cut_bytes_are_refused() -> None:
    ids, meta = MemoryIds(), EventMetadata("é" * 100, "c", "", "x", 2**40, -(2**62))
    codec = event_codec("shop.account.events", "shop.account", [PurchaseRecorded], ids)
    event = PurchaseRecorded(account_id="a", purchase_id="p", day=date(1997, 1, 1), quantity=1, amount_cents=200)
    data = codec.encode(event, meta)
    kind, decode = codec.resolve(data, bare=True)
    assert kind is PurchaseRecorded
    assert decode(data) == (event, None)
    for end in range(HEADER_BYTES, len(data)):
        with pytest.raises(TruncatedMessage):
            decode(data[:end])
    with pytest.raises(TrailingBytes):
        decode(data + b"\0")


def test_commands_are_never_read_without_their_rules() -> None:
    codec = command_codec("shop.thing.commands", "shop.thing", [Order], MemoryIds())
    data = codec.encode(Order.model_construct(thing_id="", parts=(), spare=None), CommandMetadata())
    with pytest.raises(InvalidValue):
        codec.resolve(data, bare=True)[1](data)
