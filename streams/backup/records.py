"""A stored record: everything that Kafka keeps of one, as bytes.

Layout, big endian: offset and timestamp (8 bytes each), the lengths of key and value (4 each, -1 where there is none),
the number of headers (2); then key and value; then each header: the lengths of its name (2) and its value (4, -1 where
there is none), and both.

Promises: pure; what is encoded is decoded as it was, and equal bytes mean equal records.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from confluent_kafka import Message

from streams.backup.errors import DamagedBackup

_HEAD = struct.Struct(">qqiiH")
_HEADER = struct.Struct(">Hi")
Headers = tuple[tuple[str, bytes | None], ...]


class Stored(NamedTuple):
    """One record."""

    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def stored(message: Message) -> Stored:
    """Return what is kept of a record that was read."""
    headers: Headers = tuple((name, value) for name, value in message.headers() or ())
    return Stored(int(message.offset() or 0), int(message.timestamp()[1]), message.key(), message.value(), headers)


def encode(record: Stored) -> bytes:
    """Return the record as bytes."""
    key, value = record.key, record.value
    parts = [
        _HEAD.pack(record.offset, record.time_ms, _length(key), _length(value), len(record.headers)),
        key or b"",
        value or b"",
    ]
    for name, each in record.headers:
        encoded = name.encode()
        parts += [_HEADER.pack(len(encoded), _length(each)), encoded, each or b""]
    return b"".join(parts)


def decode(data: bytes) -> Iterator[Stored]:
    """Yield the records in the bytes.

    Raises:
        DamagedBackup: the bytes end within a record.
    """
    at = 0
    try:
        while at < len(data):
            offset, time_ms, key_bytes, value_bytes, count = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            key, at = _bytes(data, at, key_bytes)
            value, at = _bytes(data, at, value_bytes)
            headers = []
            for _ in range(count):
                name_bytes, header_bytes = _HEADER.unpack_from(data, at)
                name, at = _bytes(data, at + _HEADER.size, name_bytes)
                header, at = _bytes(data, at, header_bytes)
                headers.append(((name or b"").decode(), header))
            yield Stored(offset, time_ms, key, value, tuple(headers))
    except (struct.error, UnicodeDecodeError) as error:
        raise DamagedBackup(f"no record at byte {at}: {error}") from error


def placed(records: Iterable[Stored], first_rank: int | None) -> Iterable[Stored]:
    """Return the records with the offsets and times that they have in a restored cluster.

    `first_rank`: the rank of the first one; None, if they keep their offsets. A record of the time 0 becomes one of the
    time 1, since librdkafka takes 0 for now.
    """
    timed = (each if each.time_ms else each._replace(time_ms=1) for each in records)
    if first_rank is None:
        return timed
    return (each._replace(offset=first_rank + number) for number, each in enumerate(timed))


def _length(data: bytes | None) -> int:
    return -1 if data is None else len(data)


def _bytes(data: bytes, at: int, length: int) -> tuple[bytes | None, int]:
    if length < 0:
        return None, at
    if at + length > len(data):
        raise struct.error(f"{length} bytes are said to follow, there are {len(data) - at}")
    return data[at : at + length], at + length
