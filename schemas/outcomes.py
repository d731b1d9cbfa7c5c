"""Outcomes: the answers to commands.

An **outcome** is what the owner of an aggregate committed as the answer to one command. As a record on the outcomes
topic it has one of four statuses:

- accepted: its events are in the log at `offsets`, the aggregate is at `version`, `result` is the answer;
- rejected: a rule refused it; `problem` says which;
- conflict: the aggregate was at `version` and not at `expected_version`;
- failed: it could not be understood, or the application's code raised; `reason` says why. A retry is decided anew.

In Python an accepted or refused command is a value (`Accepted`, `Rejected`); a failed one raises `CommandFailed`.

Promises: one command id has one outcome, whoever asks and however often.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter

from schemas.avro_foreign import full_name, tuple_record
from schemas.decoder import decoder
from schemas.encoder import UNFIT, encoder
from schemas.errors import EncodingError, KafoldError, UnreadableVersion, WrongType
from schemas.messages import Command
from schemas.metadata import MILLISECONDS, event_id
from schemas.position import Position
from schemas.registry import SchemaIds, canonical
from schemas.resolution import resolve
from schemas.shape import RecordShape
from schemas.topics import subject_of
from schemas.wire import HEADER_BYTES, frame, schema_id_of
from schemas.written import written_record

R = TypeVar("R")
E = TypeVar("E")


class Status(StrEnum):
    """How a command ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    FAILED = "failed"


class Outcome(NamedTuple):
    """The record on the outcomes topic. `result` and `problem` are JSON texts; `offsets` are those of the events."""

    command_id: str
    command: str
    status: str
    version: int
    expected_version: int | None
    offsets: list[int]
    result: str | None
    problem: str | None
    reason: str | None
    correlation_id: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Accepted(Generic[R]):
    """The command's events are in the log. `position`: a read model that has reached it shows them."""

    result: R
    version: int
    position: Position
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """Someone else was first: the aggregate is at version `actual`. Load it, think again, and ask with that version."""

    expected: int
    actual: int


@dataclass(frozen=True, slots=True)
class Rejected(Generic[E]):
    """A rule refused the command and nothing happened. `detail` is for people."""

    problem: E | VersionConflict
    detail: str | None = None


class CommandFailed(KafoldError):
    """A command could not be understood, or its decider raised: mend the cause and ask again under the same id."""


OTHER = "other"
MISREAD = ""  # the command's name in the outcome of one of which only the id could be read

OUTCOME_NAME = "kafold.Outcome"
OUTCOME_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Outcome",
    "namespace": "kafold",
    "doc": "The answer to one command.",
    "fields": [
        {"name": "command_id", "type": "string"},
        {"name": "command", "type": "string", "doc": "the command's record name"},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": [each.value for each in Status]}},
        {"name": "version", "type": "long", "doc": "the aggregate's version after the command"},
        {"name": "expected_version", "type": ["null", "long"], "default": None},
        {"name": "offsets", "type": {"type": "array", "items": "long"}, "doc": "of the command's events"},
        {"name": "result", "type": ["null", "string"], "default": None, "doc": "JSON"},
        {"name": "problem", "type": ["null", "string"], "default": None, "doc": "JSON: [problem, detail]"},
        {"name": "reason", "type": ["null", "string"], "default": None, "doc": "why it failed, for people"},
        {"name": "correlation_id", "type": "string"},
        {"name": "time_ms", "type": MILLISECONDS},
    ],
}


OUTCOME = tuple_record(OUTCOME_SCHEMA, Outcome)


class OutcomeCodec:
    """Encodes and decodes the records of one outcomes topic."""

    def __init__(self, topic: str, ids: SchemaIds) -> None:
        """Take the topic, whose subject the schema is registered under, and the port to the registry."""
        self.subject = subject_of(topic, OUTCOME_NAME)
        self._ids = ids
        self._encode: Callable[[Outcome], bytes] | None = None
        self._decoders: dict[bytes, Callable[[bytes], Outcome]] = {}

    def encode(self, outcome: Outcome) -> bytes:
        """Return the outcome in the wire format, or raise an EncodingError."""
        encode = self._encode or self._make_encoder()
        try:
            return encode(outcome)
        except UNFIT as error:
            raise EncodingError(f"the outcome of {outcome.command_id} does not fit its schema: {error}") from error

    def decode(self, data: bytes) -> Outcome:
        """Return the outcome, or raise a DecodingError."""
        try:
            decode = self._decoders[data[:HEADER_BYTES]]
        except (KeyError, TypeError):
            decode = self._make_decoder(schema_id_of(data))
        return decode(data)

    def _make_encoder(self) -> Callable[[Outcome], bytes]:
        self._encode = encoder(frame(self._ids.id_of(self.subject, canonical(OUTCOME_SCHEMA))), OUTCOME)
        return self._encode

    def _make_decoder(self, schema_id: int) -> Callable[[bytes], Outcome]:
        written = written_record(self._ids, schema_id)
        if full_name(written.schema) != OUTCOME_NAME:
            raise WrongType(f"schema id {schema_id} is of {full_name(written.schema)}, which is no outcome")
        resolution = resolve(written.schema, OUTCOME)
        if resolution.problems or not isinstance(resolution.shape, RecordShape):
            raise UnreadableVersion(f"outcomes of schema id {schema_id}: {'; '.join(resolution.problems)}")
        decode: Callable[[bytes], Outcome] = decoder(resolution.shape, told=self.subject)
        self._decoders[frame(schema_id)] = decode
        return decode


def answer_json(kind: Any, value: Any) -> str:
    """Return a result or problem of the type as JSON text."""
    return _adapter(kind).dump_json(value).decode()


def problem_json(kind: Any, rejected: Rejected[Any]) -> str:
    """Return a rejection as JSON text: its problem and its detail."""
    return f"[{answer_json(kind, rejected.problem)},{json.dumps(rejected.detail, ensure_ascii=False)}]"


def problem_name(problem: str) -> str:
    """Return the name of a problem that `problem_json` wrote; one that is no text has none: it is among the others."""
    found = json.loads(problem)[0]
    return found if isinstance(found, str) else OTHER


def answer_of(outcome: Outcome, command: type[Command[R, E]], position: Position) -> Accepted[R] | Rejected[E]:
    """Return the typed answer in an outcome; `position` is that of its events.

    Raises:
        CommandFailed: the command failed.
    """
    result_type, problem_type = command.answer_types()
    if outcome.status == Status.ACCEPTED:
        result = _adapter(result_type).validate_json(outcome.result or "null")
        ids = tuple(event_id(outcome.command_id, n) for n in range(1, len(outcome.offsets) + 1))
        return Accepted(result, outcome.version, position, ids)
    if outcome.status == Status.CONFLICT:
        return Rejected(VersionConflict(outcome.expected_version or 0, outcome.version))
    if outcome.status == Status.REJECTED:
        problem, detail = json.loads(outcome.problem or "[null,null]")
        return Rejected(_adapter(problem_type).validate_python(problem), detail)
    raise CommandFailed(f"{outcome.command or 'command'} {outcome.command_id} failed: {outcome.reason}")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
