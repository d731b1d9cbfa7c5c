"""The codec: typed messages to bytes and back, on one topic.

Promises: what is encoded today decodes for ever into today's class (a body is read with its writer's schema and resolved
to the class); commands, which anyone may send, are validated, events, which only a command processor writes, are not; each
way in which bytes can be wrong has its own DecodingError.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from schemas.body import parsed, read_body, write_body
from schemas.errors import EncodingError, InvalidValue, WrongType
from schemas.messages import Message
from schemas.metadata import (
    COMMAND_METADATA_SCHEMA,
    EVENT_METADATA_SCHEMA,
    METADATA_FIELD,
    CommandMetadata,
    EventMetadata,
)
from schemas.registry import SchemaIds, canonical
from schemas.topics import subject_of
from schemas.wire import frame, schema_id_of

M = TypeVar("M", bound=Message)
T = TypeVar("T", CommandMetadata, EventMetadata)


class _Writer(NamedTuple):
    header: bytes
    schema: Any
    convert: Callable[[Any], dict[str, Any]]


class _Reader(NamedTuple):
    writer_schema: Any
    reader_schema: Any
    build: Callable[[dict[str, Any]], Any]


class MessageCodec(Generic[M, T]):
    """Encodes and decodes the messages of one topic. Make it with `command_codec` or `event_codec`."""

    def __init__(
        self, topic: str, namespace: str, types: Iterable[type[M]], metadata: type[T], ids: SchemaIds
    ) -> None:
        """Take the topic's message types and the port to the registry; nothing is looked up yet."""
        self.topic = topic
        self.schemas = {each: message_schema(each, namespace, metadata) for each in types}
        self._types = {f"{namespace}.{each.__name__}": each for each in self.schemas}
        self._metadata: type[T] = metadata
        self._ids = ids
        self._writers: dict[type[Message], _Writer] = {}
        self._readers: dict[int, _Reader] = {}

    def subjects(self) -> Mapping[str, str]:
        """Return each subject with its schema as JSON text: what must be registered before the topic is used."""
        return {subject_of(self.topic, _full_name(schema)): canonical(schema) for schema in self.schemas.values()}

    def encode(self, message: M, metadata: T) -> bytes:
        """Return the message in the wire format.

        Raises:
            EncodingError: a value does not fit its schema.
            UnregisteredSchema: the type has no schema id yet.
        """
        writer = self._writers.get(type(message)) or self._make_writer(type(message))
        body = writer.convert(message)
        body[METADATA_FIELD] = dict(zip(metadata._fields, metadata, strict=True))
        return write_body(writer.header, writer.schema, body)

    def decode(self, data: bytes) -> tuple[M, T]:
        """Return the message and its metadata.

        Raises:
            DecodingError: the bytes are no message of this topic; the subclass says why.
        """
        schema_id = schema_id_of(data)
        reader = self._readers.get(schema_id) or self._make_reader(schema_id)
        fields = read_body(data, reader.writer_schema, reader.reader_schema)
        metadata = self._metadata(**fields.pop(METADATA_FIELD))
        return reader.build(fields), metadata

    def _make_writer(self, cls: type[M]) -> _Writer:
        if cls not in self.schemas:
            raise EncodingError(f"{cls.__name__} does not belong on {self.topic}")
        schema = self.schemas[cls]
        schema_id = self._ids.id_of(subject_of(self.topic, _full_name(schema)), canonical(schema))
        write = cls.shape.to_avro
        writer = _Writer(frame(schema_id), parsed(schema), write)
        self._writers[cls] = writer
        return writer

    def _make_reader(self, schema_id: int) -> _Reader:
        written = json.loads(self._ids.schema_of(schema_id))
        name = _full_name(written) if isinstance(written, dict) else str(written)
        cls = self._types.get(name)
        if cls is None:
            raise WrongType(f"schema id {schema_id} is of {name}, which does not belong on {self.topic}")
        today = self.schemas[cls]
        build = validated(cls) if self._metadata is CommandMetadata else cls.shape.from_avro
        reader = _Reader(
            parsed(written),
            None if written == today else parsed(today),
            build,
        )
        self._readers[schema_id] = reader
        return reader


def command_codec(topic: str, namespace: str, types: Iterable[type[M]], ids: SchemaIds) -> MessageCodec[M, CommandMetadata]:
    """Return the codec of a topic of commands; what it decodes is validated."""
    return MessageCodec(topic, namespace, types, CommandMetadata, ids)


def event_codec(topic: str, namespace: str, types: Iterable[type[M]], ids: SchemaIds) -> MessageCodec[M, EventMetadata]:
    """Return the codec of a topic of events."""
    return MessageCodec(topic, namespace, types, EventMetadata, ids)


def message_schema(cls: type[Message], namespace: str, metadata: type[Any]) -> dict[str, Any]:
    """Return the whole Avro schema of a message: its own fields after the platform's metadata."""
    kind = COMMAND_METADATA_SCHEMA if metadata is CommandMetadata else EVENT_METADATA_SCHEMA
    field: dict[str, Any] = {"name": METADATA_FIELD, "type": kind}
    if metadata is CommandMetadata:
        field["default"] = dict.fromkeys(CommandMetadata._fields)
    own = dict(cls.shape.schema)
    fields = own.pop("fields")
    return {**own, "namespace": namespace, "fields": [field, *fields]}


def validated(cls: type[M]) -> Callable[[dict[str, Any]], M]:
    """Return a reader that applies the class's own rules to what was decoded."""
    read = cls.shape.from_avro

    def build(fields: dict[str, Any]) -> M:
        try:
            return cls.model_validate(read(fields).__dict__)
        except ValidationError as error:
            raise InvalidValue(_one_line(cls, error)) from None

    return build


def _full_name(schema: Mapping[str, Any]) -> str:
    namespace, name = schema.get("namespace"), str(schema.get("name"))
    return f"{namespace}.{name}" if namespace and "." not in name else name


def _one_line(cls: type[Message], error: ValidationError) -> str:
    problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return f"{cls.__name__}: {'; '.join(problems)}"
