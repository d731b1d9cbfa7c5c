"""Metadata: what the platform says about a message, beside what the application says in its fields.

It is an Avro record inside the message, the first field, so that it is typed and survives every tool. Commands have
their own: a sender may leave everything out.

Promises: ids are texts (a producer may use UUIDs, ULIDs, or its own), times are whole milliseconds since 1970 UTC, and
an event's id is its command's id, a hyphen, and its number among that command's events, so that it can be derived.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from schemas.avro_foreign import tuple_record

METADATA_FIELD = "metadata"
ID_HEADER = "kafold.command-id"
Headers = Sequence[tuple[str, bytes | None]]


class EventMetadata(NamedTuple):
    """What the platform says about an event."""

    event_id: str
    command_id: str
    correlation_id: str
    causation_id: str
    version: int
    time_ms: int

    @property
    def time(self) -> datetime:
        """When the event was decided, by the command processor's clock."""
        return datetime.fromtimestamp(self.time_ms / 1000, UTC)


class CommandMetadata(NamedTuple):
    """What a command's sender says about it. `expected_version`: None is any, 0 is "must not exist", n is exactly n."""

    command_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    expected_version: int | None = None
    time_ms: int | None = None


def event_id(command_id: str, number: int) -> str:
    """Return the id of a command's n-th event (from 1)."""
    return f"{command_id}-{number}"


def implied_id(topic: str, partition: int, offset: int, headers: Headers | None) -> str:
    """Return the id of a command whose sender gave it none: where it lies, or, sent again, where it lay at first.

    The header says the latter. Whoever can write commands can set it, and so repeat an id, which has one effect.
    """
    for name, value in headers or ():
        if name == ID_HEADER and value:
            try:
                return value.decode()
            except UnicodeDecodeError:
                break
    return f"{topic}-{partition}-{offset}"


def _nullable(name: str, kind: Any, doc: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", kind], "default": None, "doc": doc}


MILLISECONDS = {"type": "long", "logicalType": "timestamp-millis"}

EVENT_METADATA_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "EventMetadata",
    "namespace": "kafold",
    "fields": [
        {"name": "event_id", "type": "string", "doc": "command id, hyphen, number among the command's events"},
        {"name": "command_id", "type": "string"},
        {"name": "correlation_id", "type": "string", "doc": "the conversation that the event belongs to"},
        {"name": "causation_id", "type": "string", "doc": "the id of the message that caused the command"},
        {"name": "version", "type": "long", "doc": "1..n within the aggregate"},
        {"name": "time_ms", "type": MILLISECONDS},
    ],
}

COMMAND_METADATA_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "CommandMetadata",
    "namespace": "kafold",
    "fields": [
        _nullable("command_id", "string", "one id has one effect; left out: topic, partition and offset"),
        _nullable("correlation_id", "string", "the conversation; left out: the command id"),
        _nullable("causation_id", "string", "the id of the message that caused this one"),
        _nullable("expected_version", "long", "null: any; 0: must not exist; n: exactly n"),
        _nullable("time_ms", MILLISECONDS, "when the sender made it"),
    ],
}

EVENT_METADATA = tuple_record(EVENT_METADATA_SCHEMA, EventMetadata)
COMMAND_METADATA = tuple_record(COMMAND_METADATA_SCHEMA, CommandMetadata)
