"""A shape: an Avro schema with the converters between Python values and the plain values that fastavro takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """`schema` is JSON-like data, logical types included. A converter that is None has nothing to do."""

    schema: Any
    write: Convert | None = None
    read: Convert | None = None

    def to_avro(self, value: Any) -> Any:
        """Return the plain value that fastavro writes."""
        return value if self.write is None else self.write(value)

    def from_avro(self, plain: Any) -> Any:
        """Return the Python value of what fastavro read."""
        return plain if self.read is None else self.read(plain)
