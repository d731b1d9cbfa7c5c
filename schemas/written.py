"""What was written: the record that a schema id stands for.

Promises: an id that stands for anything else than an Avro record is an error of the message, not of the reader.
"""

import json
from typing import Any

from schemas.avro_foreign import foreign_record
from schemas.errors import UnsupportedType, WrongType
from schemas.registry import SchemaIds
from schemas.shape import RecordShape


def written_record(ids: SchemaIds, schema_id: int) -> RecordShape:
    """Return the shape of the record with this schema id.

    Raises:
        UnknownSchemaId: no schema has the id.
        WrongType: it is not of a record; a JSON or Protobuf schema, for example.
    """
    text = ids.schema_of(schema_id)
    try:
        schema: Any = json.loads(text)
        return foreign_record(schema)
    except (ValueError, UnsupportedType) as error:
        raise WrongType(f"schema id {schema_id} is not of an Avro record: {error}") from error
