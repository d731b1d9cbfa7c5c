"""fastavro as the judge: what it writes and reads with the same schema."""

from enum import Enum
from io import BytesIO
from typing import Any

import fastavro

from schemas.shape import ArrayShape, EnumShape, MapShape, RecordShape, Shape, UnionShape


def bare(schema: Any) -> Any:
    """The schema without its logical types, which fastavro would convert."""
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in schema.items() if key not in ("logicalType", "precision", "scale")}
    return [bare(each) for each in schema] if isinstance(schema, list) else schema


def parsed(schema: Any) -> Any:
    return fastavro.parse_schema(bare(schema))


def plain(shape: Shape, value: Any, namespace: str = "") -> Any:
    """The value as fastavro takes it; `namespace` is that of the outermost record, with its dot."""
    match shape:
        case RecordShape():
            values = value._asdict() if isinstance(value, tuple) else value.__dict__  # type: ignore[attr-defined]
            return {name: plain(inner, values[name], namespace) for name, inner in shape.fields.items()}
        case EnumShape():
            return value.name if isinstance(value, Enum) else value
        case ArrayShape():
            return [plain(shape.item, each, namespace) for each in value]
        case MapShape():
            return {key: plain(shape.item, each, namespace) for key, each in value.items()}
        case UnionShape():
            return _branch(shape, value, namespace)
        case _:
            return shape.to_avro(value)


def _branch(shape: UnionShape, value: Any, namespace: str) -> Any:
    for branch in shape.branches:
        if branch.kind is type(value) or (branch.kind is object and value is not None):
            made = plain(branch.shape, value, namespace)
            # Only among several records does fastavro need the name, and take it.
            if isinstance(branch.shape, RecordShape) and branch.kind is not object:
                return {"-type": namespace + type(value).__name__, **made}
            return made
    return None


def write(schema: Any, value: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, parsed(schema), value)
    return out.getvalue()


def read(schema: Any, data: bytes, reader: Any = None) -> Any:
    source = BytesIO(data)
    value = fastavro.schemaless_reader(source, parsed(schema), parsed(reader) if reader else None)
    assert source.read() == b""
    return value
