"""Proof: what is in the log, by the schema it was written with, and whether today's types can read all of it.

Promises: each schema id of each topic is counted, with its first and last position; the first record of each that
cannot be read is named with its error. A record that is accounted for elsewhere, as a bad command is by its dead
letter, is counted and is no failure. What feeds it is `streams/kafka/proving.py` and `streams/postgres/proving.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.errors import DecodingError
from schemas.wire import HEADER_BYTES, schema_id_of

SAMPLE_EVERY = 100
"""Without `everything`, the first records of each schema are decoded, and then one of so many."""
SAMPLE_FIRST = 100

Records = Sequence[tuple[int, int, bytes | None]]
"""Records of one topic: partition, offset, value."""


class Kept(StrEnum):
    """Where a record's bytes are kept. The place of a dead letter or a parked event is that of the original."""

    TOPIC = "topic"
    DEAD_LETTER = "dead letter"
    PARKED = "parked"


@dataclass(slots=True)
class Line:
    """What was written to a topic with one schema. `record` is its name, or why it has none.

    `first` and `last`: partition and offset. `excused`: how many of those that were looked at cannot be read, and are
    accounted for.
    """

    topic: str
    kept: Kept
    schema_id: int
    record: str
    first: tuple[int, int]
    last: tuple[int, int]
    count: int = 0
    decoded: int = 0
    excused: int = 0


class Failure(NamedTuple):
    """The first record of a schema that cannot be read, and why."""

    topic: str
    kept: Kept
    partition: int
    offset: int
    record: str
    error: str
    reason: str

    def __str__(self) -> str:
        """Tell it in a line."""
        kept = "" if self.kept is Kept.TOPIC else f" ({self.kept})"
        place = f"{self.topic} partition {self.partition} offset {self.offset}{kept}"
        return f"{place}: {self.record}: {self.error}: {self.reason}"


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

    @property
    def excused(self) -> int:
        """How many cannot be read, and are accounted for."""
        return sum(line.excused for line in self.lines)

    def sort(self) -> None:
        """Bring it into an order that is the same each time."""
        self.lines.sort(key=lambda line: (line.kept != Kept.TOPIC, line.kept, line.topic, line.record, line.schema_id))
        self.failures.sort(key=lambda failure: failure[:4])


@dataclass(frozen=True, slots=True)
class Source:
    """Records of one topic, as they are kept. `decode` reads a value or raises DecodingError.

    `excuses` says of a record (partition, offset) that cannot be read whether it is accounted for.
    """

    topic: str
    decode: Callable[[bytes], Any]
    kept: Kept = Kept.TOPIC
    excuses: Callable[[int, int, DecodingError], bool] = lambda _partition, _offset, _error: False


class Prover:
    """Proves one source. `name_of` says what record an id is of."""

    def __init__(self, source: Source, name_of: Callable[[int], str], proof: Proof, *, everything: bool) -> None:
        self._source = source
        self._name_of = name_of
        self._proof = proof
        self._everything = everything
        self._lines: dict[bytes, Line] = {}
        self._failures: dict[bytes, int] = {}

    def take(self, records: Records) -> None:
        """Count the records, and decode as many as shall be."""
        for partition, offset, value in records:
            header = (value or b"")[:HEADER_BYTES]
            place = (partition, offset)
            line = self._lines.get(header) or self._begin(header, place)
            line.count += 1
            if place > line.last:
                line.last = place
            elif place < line.first:
                line.first = place
            if self._everything or line.count <= SAMPLE_FIRST or line.count % SAMPLE_EVERY == 0:
                self._read(header, line, place, value)

    def _begin(self, header: bytes, place: tuple[int, int]) -> Line:
        try:
            schema_id = schema_id_of(header)
            record = self._name_of(schema_id)
        except DecodingError as error:
            schema_id, record = 0, type(error).__name__
        line = self._lines[header] = Line(self._source.topic, self._source.kept, schema_id, record, place, place)
        self._proof.lines.append(line)
        return line

    def _read(self, header: bytes, line: Line, place: tuple[int, int], value: bytes | None) -> None:
        try:
            self._source.decode(value or b"")
            line.decoded += 1
        except DecodingError as error:
            if self._source.excuses(*place, error):
                line.excused += 1
            else:
                self._fail(header, line, place, error)

    def _fail(self, header: bytes, line: Line, place: tuple[int, int], error: DecodingError) -> None:
        """Keep the first failure of a schema: partitions come in any order."""
        failure = Failure(line.topic, line.kept, *place, line.record, type(error).__name__, str(error))
        at = self._failures.setdefault(header, len(self._proof.failures))
        if at == len(self._proof.failures):
            self._proof.failures.append(failure)
        elif place < self._proof.failures[at][2:4]:
            self._proof.failures[at] = failure
