"""The wire format: Confluent's framing of an Avro body, a zero byte and the schema's id as four bytes, big endian.

Promises: any tool that knows a Confluent-compatible registry reads what this writes, and the reverse.
"""

import struct

from schemas.errors import TruncatedMessage, WrongMagicByte

_HEADER = struct.Struct(">bI")
HEADER_BYTES = _HEADER.size
_MAGIC = 0


def frame(schema_id: int) -> bytes:
    """Return the five bytes that go before a body."""
    return _HEADER.pack(_MAGIC, schema_id)


def schema_id_of(data: bytes | None) -> int:
    """Return the id of the schema that the body was written with.

    Raises:
        TruncatedMessage: there are not even five bytes.
        WrongMagicByte: the first byte is not zero.
    """
    if data is None:
        raise TruncatedMessage("the record has no value: nothing can be a message")
    if len(data) < HEADER_BYTES:
        raise TruncatedMessage(f"{len(data)} bytes are no message: the wire format begins with five bytes")
    magic, schema_id = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise WrongMagicByte(f"the first byte is {data[0]:#04x}, not 0x00: this is not the Confluent wire format")
    return int(schema_id)
