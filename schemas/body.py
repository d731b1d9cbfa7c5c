"""A body: one Avro record after the wire format's header.

Promises: reading uses up the whole body and nothing else, and each way of being wrong has its own error.
"""

from io import BytesIO
from typing import Any

import fastavro

from schemas.avro import bare
from schemas.errors import EncodingError, InvalidValue, TrailingBytes, TruncatedMessage
from schemas.wire import HEADER_BYTES


def parsed(schema: Any) -> Any:
    """Return a schema as fastavro wants it, without logical types: the converters of `schemas/avro.py` do those."""
    return fastavro.parse_schema(bare(schema))


def write_body(header: bytes, schema: Any, record: dict[str, Any]) -> bytes:
    """Return the header and the record's body.

    Raises:
        EncodingError: a value does not fit the schema.
    """
    out = BytesIO()
    out.write(header)
    try:
        fastavro.schemaless_writer(out, schema, record)
    except (ValueError, TypeError, OverflowError, KeyError, AttributeError) as error:
        raise EncodingError(f"the value does not fit its schema: {error}") from error
    return out.getvalue()


def read_body(data: bytes, writer_schema: Any, reader_schema: Any = None) -> dict[str, Any]:
    """Return the record after the header, resolved to the reader's schema where one is given.

    Raises:
        DecodingError: the body ends too soon, goes on too long, or is not what its schema says.
    """
    source = BytesIO(data)
    source.seek(HEADER_BYTES)
    try:
        # A union of several records is read as (name, record), which the converters need to tell them apart.
        record: Any = fastavro.schemaless_reader(
            source, writer_schema, reader_schema, return_record_name=True, return_record_name_override=True
        )
    except EOFError as error:
        raise TruncatedMessage("the body ends before its last field") from error
    except Exception as error:
        # fastavro raises what its reading of garbage runs into: UnicodeDecodeError, IndexError, SchemaResolutionError.
        raise InvalidValue(f"the body is not what its schema says: {type(error).__name__} {error}") from error
    if source.tell() != len(data):
        raise TrailingBytes(f"{len(data) - source.tell()} bytes are left after the last field")
    return record  # type: ignore[no-any-return]
