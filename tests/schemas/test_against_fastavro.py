"""The compiled codec writes and reads what fastavro does."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import record_shape
from schemas.codec import event_codec
from schemas.decoder import decoder
from schemas.encoder import encoder
from schemas.metadata import EVENT_METADATA, EventMetadata
from schemas.outcomes import OUTCOME, Outcome
from schemas.values import Value
from schemas.varint import LONG_MAX, LONG_MIN, long_bytes
from tests.schemas import fast_avro
from tests.schemas.ids import MemoryIds
from tests.schemas.models import LONGS, TEXTS, events, fields, model_of

HEADER = b"\0\0\0\0\1"
METADATA = st.builds(EventMetadata, *[TEXTS] * 4, LONGS, LONGS)


@given(st.data())
def test_any_model_is_written_and_read_as_by_fastavro(data: st.DataObject) -> None:
    named = data.draw(fields())
    model = model_of(named)
    value = model(**{name: data.draw(strategy) for name, (_, strategy) in named.items()})
    shape = record_shape(model)
    plain = fast_avro.plain(shape, value)
    body = fast_avro.write(shape.schema, plain)
    assert encoder(HEADER, shape)(value) == HEADER + body
    for validate in (False, True):
        assert decoder(shape, validate=validate)(HEADER + body) == value


@given(events(), METADATA)
def test_a_message_with_its_metadata_is_written_as_by_fastavro(event: Any, metadata: EventMetadata) -> None:
    codec = event_codec("things", "shop.thing", [type(event)], MemoryIds())
    data = codec.encode(event, metadata)
    plain = {"metadata": metadata._asdict(), **fast_avro.plain(event.shape, event, "shop.thing.")}
    assert data[5:] == fast_avro.write(codec.schemas[type(event)], plain)
    assert codec.decode(data) == (event, metadata)
    assert codec.decode_metadata(data) == metadata


@given(METADATA)
def test_metadata_is_read_back(metadata: EventMetadata) -> None:
    body = fast_avro.write(EVENT_METADATA.schema, metadata._asdict())
    assert decoder(EVENT_METADATA)(HEADER + body) == metadata


STATUSES = st.sampled_from(["accepted", "rejected", "conflict", "failed"])
OFFSETS = st.lists(LONGS, max_size=4)
NULLABLE = TEXTS | st.none()


@given(
    st.builds(
        Outcome, TEXTS, TEXTS, STATUSES, LONGS, LONGS | st.none(), OFFSETS, NULLABLE, NULLABLE, NULLABLE, TEXTS, LONGS
    )
)
def test_an_outcome_is_written_and_read_as_by_fastavro(outcome: Outcome) -> None:
    body = fast_avro.write(OUTCOME.schema, outcome._asdict())
    assert encoder(HEADER, OUTCOME)(outcome) == HEADER + body
    assert decoder(OUTCOME)(HEADER + body) == outcome


@given(LONGS | st.sampled_from([0, 63, 64, 8191, 8192, 2**34, 2**41 - 1, 2**41, LONG_MAX, LONG_MIN]))
def test_a_long_is_written_as_by_fastavro(number: int) -> None:
    assert long_bytes(number) == fast_avro.write("long", number)


class Lists(Value):
    numbers: list[int]
    names: dict[str, int]


def test_blocks_with_sizes_and_several_blocks_are_read() -> None:
    # What other writers may do: a negative count is followed by the block's size in bytes.
    numbers = b"\x03\x04\x02\x04" + b"\x02\x06" + b"\x00"
    names = b"\x01\x06\x02a\x02" + b"\x00"
    assert decoder(record_shape(Lists))(HEADER + numbers + names) == Lists(numbers=[1, 2, 3], names={"a": 1})


def test_a_constructed_model_is_a_whole_pydantic_model() -> None:
    shape = record_shape(Lists)
    value = Lists(numbers=[1], names={})
    read: Lists = decoder(shape)(encoder(HEADER, shape)(value))
    assert read.model_copy() == value
    assert read.model_dump() == value.model_dump()
    assert read.model_fields_set == {"numbers", "names"}
    assert repr(read) == repr(value)
