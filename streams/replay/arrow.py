"""Arrow: a row model's columns as Arrow has them, and rows written as Arrow, Parquet or DuckDB through them.

Promises: rows pass by a batch at a time, never all at once; a value that a column does not hold is an error, never
changed. A number without declared digits, an UUID and nested values (as JSON) are texts.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.types.json import Jsonb
from pydantic_core import to_json

from streams.postgres.columns import Column, RowShape

BATCH_ROWS = 50_000
_DIGITS = re.compile(r"\((\d+), (\d+)\)")
_TYPES = {
    "boolean": pa.bool_(),
    "bigint": pa.int64(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "interval": pa.duration("us"),
}


def schema(shape: RowShape) -> pa.Schema:
    """Return the columns."""
    return pa.schema(
        [
            pa.field(each.name, _type(each), each.nullable, {"comment": each.comment} if each.comment else None)
            for each in shape.columns
        ]
    )


def batches(shape: RowShape, rows: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches."""
    made, waiting = schema(shape), iter(rows)
    while taken := [shape.to_columns(row) for row in islice(waiting, BATCH_ROWS)]:
        columns = zip(made, zip(*taken, strict=True), strict=True)
        yield pa.record_batch([_array(field, values) for field, values in columns], schema=made)


def write_arrow(path: Path, shape: RowShape, rows: Iterable[Any]) -> int:
    """Write an Arrow file; return how many rows it has."""
    count = 0
    with path.open("xb") as file, pa.ipc.new_file(file, schema(shape)) as writer:
        for batch in batches(shape, rows):
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def write_parquet(path: Path, shape: RowShape, rows: Iterable[Any]) -> int:
    """Write a Parquet file; return how many rows it has."""
    count = 0
    with path.open("xb") as file, pq.ParquetWriter(file, schema(shape)) as writer:
        for batch in batches(shape, rows):
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def write_duckdb(path: Path, shape: RowShape, rows: Iterable[Any], table: str) -> int:
    """Write a DuckDB database with one table; return how many rows it has."""
    import duckdb  # the other formats do without it

    quoted = '"' + table.replace('"', '""') + '"'
    with duckdb.connect(str(path)) as database:
        database.register("empty", schema(shape).empty_table())
        database.execute(f"CREATE TABLE {quoted} AS SELECT * FROM empty")  # noqa: S608  (quoted)
        count = 0
        for batch in batches(shape, rows):
            database.register("batch", batch)
            database.execute(f"INSERT INTO {quoted} SELECT * FROM batch")  # noqa: S608  (quoted)
            database.unregister("batch")
            count += batch.num_rows
        database.unregister("empty")
    return count


def _type(column: Column) -> pa.DataType:
    digits = _DIGITS.search(column.modifier)
    if digits is not None and int(digits[1]) <= 76:
        precision, scale = int(digits[1]), int(digits[2])
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    return _TYPES.get(column.type, pa.string())


def _array(field: pa.Field, values: tuple[Any, ...]) -> pa.Array:
    if field.type == pa.string():
        values = tuple(each if each is None or isinstance(each, str) else _text(each) for each in values)
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise ValueError(f"column {field.name}: {error}") from error


def _text(value: Any) -> str:
    return to_json(value.obj).decode() if isinstance(value, Jsonb) else str(value)
