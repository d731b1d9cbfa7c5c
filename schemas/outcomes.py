"""Outcomes: the answers to commands.

An **outcome** is what the owner of an aggregate committed as the answer to one command. As a record on the outcomes topic
it has one of four statuses:

- accepted: its events are in the log at `offsets`, the aggregate is at `version`, `result` is the answer;
- rejected: a rule refused it; `problem` says which;
- conflict: the aggregate was at `version` and not at `expected_version`;
- failed: it could not be understood, or the application's code raised; `reason` says why. A retry is decided anew.

In Python an accepted or refused command is a value (`Accepted`, `Rejected`); a failed one raises `CommandFailed`.

Promises: one command id has one outcome, whoever asks and however often.
"""

import json
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter

from schemas.body import parsed, read_body, write_body
from schemas.errors import KafoldError, WrongType
from schemas.messages import Command
from schemas.metadata import MILLISECONDS, event_id
from schemas.position import Position
from schemas.registry import SchemaIds, canonical
from schemas.topics import subject_of
from schemas.wire import frame, schema_id_of

R = TypeVar("R")
E = TypeVar("E")


class Status(str, Enum):
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
    offsets: tuple[int, ...]
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


class OutcomeCodec:
    """Encodes and decodes the records of one outcomes topic."""

    def __init__(self, topic: str, ids: SchemaIds) -> None:
        """Take the topic, whose subject the schema is registered under, and the port to the registry."""
        self.subject = subject_of(topic, OUTCOME_NAME)
        self._ids = ids
        self._schema = parsed(OUTCOME_SCHEMA)
        self._header = b""
        self._written: dict[int, Any] = {}

    def encode(self, outcome: Outcome) -> bytes:
        """Return the outcome in the wire format."""
        self._header = self._header or frame(self._ids.id_of(self.subject, canonical(OUTCOME_SCHEMA)))
        return write_body(self._header, self._schema, dict(zip(Outcome._fields, outcome, strict=True)))

    def decode(self, data: bytes) -> Outcome:
        """Return the outcome, or raise a DecodingError."""
        schema_id = schema_id_of(data)
        written = self._written.get(schema_id)
        if written is None:
            written = self._written[schema_id] = self._writer_schema(schema_id)
        fields = read_body(data, written, self._schema if written != self._schema else None)
        fields["offsets"] = tuple(fields["offsets"])
        return Outcome(**fields)

    def _writer_schema(self, schema_id: int) -> Any:
        written = json.loads(self._ids.schema_of(schema_id))
        if written.get("name") != "Outcome" or written.get("namespace") != "kafold":
            raise WrongType(f"schema id {schema_id} is of {written.get('name')}, which is no outcome")
        return parsed(written)


def answer_json(kind: Any, value: Any) -> str:
    """Return a result or problem of the type as JSON text."""
    return _adapter(kind).dump_json(value).decode()


def problem_json(kind: Any, rejected: Rejected[Any]) -> str:
    """Return a rejection as JSON text: its problem and its detail."""
    return f"[{answer_json(kind, rejected.problem)},{json.dumps(rejected.detail, ensure_ascii=False)}]"


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
    raise CommandFailed(f"{outcome.command} {outcome.command_id} failed: {outcome.reason}")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
