"""Proof: what is in the log, by the schema it was written with, and whether today's types can read all of it.

Promises: each schema id of each topic is counted, with its first and last position; the first record of each that
cannot be read is named with its error. What feeds it is `streams/kafka/proving.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.errors import DecodingError
from schemas.wire import HEADER_BYTES, schema_id_of

SAMPLE_EVERY = 100
"""Without `everything`, the first records of each schema are decoded, and then one of so many."""
SAMPLE_FIRST = 100


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int

    @property
    def told(self) -> str:
        """Partition and offset, for people."""
        return f"{self.partition}:{self.offset:,}"


@dataclass(slots=True)
class Line:
    """What was written to a topic with one schema. `record` is its name, or why it has none."""

    topic: str
    schema_id: int
    record: str
    first: Place
    last: Place
    count: int = 0
    decoded: int = 0


class Failure(NamedTuple):
    """The first record of a schema that cannot be read, and why."""

    place: Place
    record: str
    error: str

    def __str__(self) -> str:
        """Tell it in a line."""
        topic, partition, offset = self.place
        return f"{topic} partition {partition} offset {offset}: {self.record}: {self.error}"


@dataclass(slots=True)
class Proof:
    """The counts and failures of all topics, filled by `Prover.take`."""

    lines: list[Line] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many records were counted."""
        return sum(line.count for line in self.lines)

    @property
    def decoded(self) -> int:
        """How many of them were decoded."""
        return sum(line.decoded for line in self.lines)


class Prover:
    """Proves one topic. `name_of` says what record an id is of; `decode` reads a value or raises DecodingError."""

    def __init__(
        self,
        topic: str,
        decode: Callable[[bytes], Any],
        name_of: Callable[[int], str],
        proof: Proof,
        *,
        everything: bool,
    ) -> None:
        self._topic = topic
        self._decode = decode
        self._name_of = name_of
        self._proof = proof
        self._everything = everything
        self._lines: dict[bytes, Line] = {}
        self._failed: set[bytes] = set()

    def take(self, records: Sequence[tuple[int, int, bytes | None]]) -> None:
        """Count the records (partition, offset, value), and decode as many as shall be."""
        for partition, offset, value in records:
            header = (value or b"")[:HEADER_BYTES]
            line = self._lines.get(header)
            if line is None:
                line = self._begin(header, Place(self._topic, partition, offset))
            line.count += 1
            line.last = Place(self._topic, partition, offset)
            if self._everything or line.count <= SAMPLE_FIRST or line.count % SAMPLE_EVERY == 0:
                self._read(header, line, value)

    def _begin(self, header: bytes, place: Place) -> Line:
        try:
            schema_id = schema_id_of(header)
            record = self._name_of(schema_id)
        except DecodingError as error:
            schema_id, record = 0, type(error).__name__
        line = self._lines[header] = Line(self._topic, schema_id, record, place, place)
        self._proof.lines.append(line)
        return line

    def _read(self, header: bytes, line: Line, value: bytes | None) -> None:
        line.decoded += 1
        try:
            self._decode(value)  # type: ignore[arg-type]
        except DecodingError as error:
            if header not in self._failed:
                self._failed.add(header)
                self._proof.failures.append(Failure(line.last, line.record, f"{type(error).__name__}: {error}"))
