"""Snapshots: what is known of an aggregate, as bytes that another process can trust.

A **snapshot** is a Known with the place in the events partition before which it was taken. A **marker** says that
everything that changed before an offset is in snapshots, and how many events there were: that many versions the
snapshots must have in all, which is how a missing one is found. Both carry a **stamp** of the code that folds and of
the topic that was folded, and a checksum that covers their key.

A state is written as its model's JSON and not pickled: whoever could write to the topic could otherwise run code here.
JSON does not hold every value, so each state is read back before it is used, and compared.

Promises: what is decoded is exactly what was encoded; a state for which that does not hold is refused when it is
written; whatever cannot be read, or has another stamp, decodes to nothing and never raises.
"""

import hashlib
import struct
import zlib
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel

from streams.kernel.aggregate import Aggregate, flatten
from streams.kernel.errors import StateNotExact
from streams.kernel.processing import Known
from streams.kernel.sameness import same

FORMAT = 1
# No text's UTF-8 has this byte, so it is no aggregate's id.
MARKER_KEY = b"\xff"
# Kafka's own limit for a record is a million bytes, unless told otherwise.
BYTES_MAX = 900_000
_HEAD = struct.Struct(">BI")
_SNAPSHOT = struct.Struct(">16sQQBI")
_MARKER = struct.Struct(">16sQQ")


class Snapshot(NamedTuple):
    """What was known of an aggregate when the events before an offset were folded."""

    known: Known
    before: int


class Marker(NamedTuple):
    """Everything that changed before `before` is in snapshots; `events`: how many there were before it."""

    before: int
    events: int


class SnapshotCodec:
    """Snapshots and markers of one aggregate type to bytes and back."""

    def __init__(self, aggregate: Aggregate[Any, Any, Any], fingerprint: str, topic_id: str) -> None:
        """`fingerprint`: of the code that folds. `topic_id`: the UUID of the events topic."""
        self._aggregate = aggregate
        told = flatten(get_type_hints(aggregate.evolve).get("return", type(aggregate.initial)))
        self._models = [each for each in told if isinstance(each, type) and issubclass(each, BaseModel)]
        self._numbers = {model: number for number, model in enumerate(self._models)}
        # The fingerprint covers the classes, not the annotation that tells their numbers.
        names = [model.__qualname__ for model in self._models]
        self._stamp = hashlib.sha256(f"{FORMAT} {fingerprint} {topic_id} {names}".encode()).digest()[:16]

    def encode(self, key: bytes, known: Known, before: int) -> bytes:
        """Return the snapshot of what is known.

        Raises:
            StateNotExact: it would not be the same when it is read back.
        """
        model = type(known.state)
        number = self._numbers.get(model)
        if number is None:
            raise self._not_exact(f"evolve is not annotated to return {model.__name__}")
        try:
            state = model.__pydantic_serializer__.to_json(
                known.state, by_alias=False, round_trip=True, warnings="error"
            )
            is_exact = same(_state(model, state), known.state)
        except Exception as error:
            raise self._not_exact(f"a {model.__name__} cannot be JSON and back: {error}") from error
        if not is_exact:
            raise self._not_exact(f"a {model.__name__} is another one after it was JSON")
        broken = (known.broken or "").encode()
        value = _SNAPSHOT.pack(self._stamp, before, known.version, number, len(broken)) + broken + state
        if len(value) > BYTES_MAX:
            raise self._not_exact(f"a {model.__name__} of {len(value):,} bytes is too large for a record")
        return _sealed(key, value)

    def decode(self, key: bytes, value: bytes) -> Snapshot | None:
        """Return a snapshot; None: it is of no use here."""
        try:
            body = _opened(key, value)
            stamp, before, version, number, length = _SNAPSHOT.unpack_from(body)
            if stamp != self._stamp:
                return None
            rest = body[_SNAPSHOT.size :]
            broken = rest[:length].decode() if length else None
            return Snapshot(Known(_state(self._models[number], rest[length:]), version, broken), before)
        except Exception:  # noqa: BLE001 - the application's models, on bytes that anybody may have written
            return None

    def encode_marker(self, marker: Marker) -> bytes:
        """Return a marker's record; its key is MARKER_KEY."""
        return _sealed(MARKER_KEY, _MARKER.pack(self._stamp, *marker))

    def decode_marker(self, value: bytes) -> Marker | None:
        """Return a marker; None: it is of no use here."""
        try:
            stamp, before, events = _MARKER.unpack(_opened(MARKER_KEY, value))
        except (struct.error, ValueError):
            return None
        return Marker(before, events) if stamp == self._stamp else None

    def _not_exact(self, reason: str) -> StateNotExact:
        return StateNotExact(f"{self._aggregate.name} has no snapshots: {reason}")


def _state(model: type[BaseModel], data: bytes) -> BaseModel:
    made: BaseModel = model.__pydantic_validator__.validate_json(data, by_name=True, by_alias=False)
    return made


def _sealed(key: bytes, body: bytes) -> bytes:
    return _HEAD.pack(FORMAT, zlib.crc32(body, zlib.crc32(key))) + body


def _opened(key: bytes, value: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        ValueError: it is not as it was sealed.
        struct.error: it is too short.
    """
    version, checksum = _HEAD.unpack_from(value)
    body = value[_HEAD.size :]
    if version != FORMAT or checksum != zlib.crc32(body, zlib.crc32(key)):
        raise ValueError("the checksum is another one")
    return body
