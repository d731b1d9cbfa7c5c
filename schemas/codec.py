"""The codec: typed messages to bytes and back, on one topic.

Promises: what is encoded today decodes for ever into today's class (a body is read with its writer's schema and
resolved to the class); commands, which anyone may send, are validated, events, which only a command processor writes,
are not; each way in which bytes can be wrong has its own DecodingError.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from schemas.avro_foreign import full_name
from schemas.decoder import bare_decoder, field_decoder, fields_decoder, message_decoder
from schemas.encoder import UNFIT, encoder, message_encoder
from schemas.errors import EncodingError, UnreadableVersion, WrongType
from schemas.messages import Message
from schemas.metadata import (
    COMMAND_METADATA,
    EVENT_METADATA,
    METADATA_FIELD,
    CommandMetadata,
    EventMetadata,
)
from schemas.registry import SchemaIds, canonical
from schemas.resolution import resolve
from schemas.shape import RecordShape
from schemas.topics import subject_of
from schemas.upcasting import Evolution, Way
from schemas.wire import HEADER_BYTES, frame, schema_id_of
from schemas.written import written_record

M = TypeVar("M", bound=Message)
T = TypeVar("T", CommandMetadata, EventMetadata)

NO_EVOLUTION = Evolution()

_Decode = Callable[[bytes], tuple[M, T]]
_Encode = Callable[[M, T], bytes]


class MessageCodec(Generic[M, T]):
    """Encodes and decodes the messages of one topic. Make it with `command_codec` or `event_codec`."""

    def __init__(
        self,
        topic: str,
        namespace: str,
        types: Iterable[type[M]],
        metadata: type[T],
        ids: SchemaIds,
        evolution: Evolution = NO_EVOLUTION,
    ) -> None:
        """Take the topic's message types and the port to the registry; nothing is looked up yet."""
        self.topic = topic
        self.shapes = {each: message_shape(each, namespace, metadata) for each in types}
        self.schemas = {cls: shape.schema for cls, shape in self.shapes.items()}
        self._types = {full_name(schema): cls for cls, schema in self.schemas.items()}
        self._metadata: type[T] = metadata
        self._validate = metadata is CommandMetadata
        self._ids = ids
        self._evolution = evolution
        self._namespace = namespace
        self._encoders: dict[type[Message], _Encode[M, T]] = {}
        # By the header's bytes, which say the schema: to look them up is quicker than to read the id.
        self._decoders: dict[bytes, _Decode[M, T]] = {}
        self._metadata_decoders: dict[bytes, Callable[[bytes], T]] = {}

    def subjects(self) -> Mapping[str, str]:
        """Return each subject with its schema as JSON text: what must be registered before the topic is used."""
        return {subject_of(self.topic, full_name(schema)): canonical(schema) for schema in self.schemas.values()}

    def encode(self, message: M, metadata: T) -> bytes:
        """Return the message in the wire format.

        Raises:
            EncodingError: a value does not fit its schema.
            UnregisteredSchema: the type has no schema id yet.
        """
        encode = self._encoders.get(type(message)) or self._make_encoder(type(message))
        try:
            return encode(message, metadata)
        except UNFIT as error:
            raise EncodingError(self._why_not(message, metadata, error)) from error

    def decode(self, data: bytes) -> tuple[M, T]:
        """Return the message and its metadata.

        Raises:
            DecodingError: the bytes are no message of this topic; the subclass says why.
        """
        try:
            decode = self._decoders[data[:HEADER_BYTES]]
        except (KeyError, TypeError):
            decode = self._make_decoder(data)
        return decode(data)

    def resolve(self, data: bytes, *, bare: bool = False) -> tuple[type[M], Callable[[bytes], tuple[M, T | None]]]:
        """Return the type of a message, and what decodes those that begin with the same five bytes.

        `bare`: for who does not look at metadata; what is decoded has None for it, or has it after all (upcasters').

        Raises:
            DecodingError: the first bytes are those of no message of this topic.
        """
        schema_id = schema_id_of(data)
        written, way, today = self._written(schema_id)
        if bare and not way.upcasters and not self._validate:
            shape = _resolved(written, today, schema_id)
            return today.model, bare_decoder(shape, METADATA_FIELD, told=self._subject(written))
        return today.model, self._decoders.get(data[:HEADER_BYTES]) or self._make_decoder(data)

    def resolve_fields(
        self, data: bytes, *, kind: type[M], fields: Sequence[str]
    ) -> tuple[type[M], Callable[[bytes], tuple[tuple[Any, ...], None]]]:
        """As `resolve`, where of the messages of one `kind` only the values of some `fields` are wanted.

        What decodes messages of another kind is not to be used.
        """
        schema_id = schema_id_of(data)
        written, way, today = self._written(schema_id)
        if today.model is kind and not way.upcasters and not self._validate:
            shape = _resolved(written, today, schema_id)
            return kind, fields_decoder(shape, fields, METADATA_FIELD, told=self._subject(written))
        model, decode = self.resolve(data)

        def decode_fields(data: bytes) -> tuple[tuple[Any, ...], None]:
            message = decode(data)[0].__dict__
            return tuple(message[name] for name in fields), None

        return model, decode_fields

    def validating(self) -> "MessageCodec[M, T]":
        """Return a codec of the same topic that validates whatever it decodes: for events that come from elsewhere."""
        made = MessageCodec(self.topic, self._namespace, self.shapes, self._metadata, self._ids, self._evolution)
        made._validate = True
        return made

    def decode_metadata(self, data: bytes) -> T:
        """Return the metadata alone, in half of the time: what comes after it is not looked at.

        Raises:
            DecodingError: the bytes up to the metadata's end are no message of this topic.
        """
        try:
            decode = self._metadata_decoders[data[:HEADER_BYTES]]
        except (KeyError, TypeError):
            decode = self._make_metadata_decoder(data)
        return decode(data)

    def _make_encoder(self, cls: type[M]) -> _Encode[M, T]:
        if cls not in self.shapes:
            raise EncodingError(f"{cls.__name__} does not belong on {self.topic}")
        schema = self.schemas[cls]
        schema_id = self._ids.id_of(subject_of(self.topic, full_name(schema)), canonical(schema))
        self._encoders[cls] = message_encoder(frame(schema_id), _metadata_shape(self._metadata), cls.shape)
        return self._encoders[cls]

    def _why_not(self, message: M, metadata: T, error: Exception) -> str:
        """Name the field that does not fit, by encoding one after the other."""
        values = {METADATA_FIELD: metadata, **message.__dict__}
        for name, shape in self.shapes[type(message)].fields.items():
            alone = RecordShape(None, model=_Alone, fields={name: shape})
            try:
                encoder(b"", alone)((values.get(name),))
            except UNFIT as problem:
                return f"{type(message).__name__}.{name}: the value does not fit its schema: {problem}"
        return f"{type(message).__name__} does not fit its schema: {error}"

    def _make_decoder(self, data: bytes) -> _Decode[M, T]:
        schema_id = schema_id_of(data)
        written, way, today = self._written(schema_id)
        decode: _Decode[M, T]
        if way.upcasters:
            decode = self._evolution.decoder(written.schema, way, today, self._subject(written))
        else:
            shape = _resolved(written, today, schema_id)
            decode = message_decoder(shape, METADATA_FIELD, validate=self._validate, told=self._subject(written))
        self._decoders[frame(schema_id)] = decode
        return decode

    def _make_metadata_decoder(self, data: bytes) -> Callable[[bytes], T]:
        schema_id = schema_id_of(data)
        written, _, today = self._written(schema_id)
        # What upcasters change comes after the metadata, which is the platform's.
        alone = {METADATA_FIELD: today.fields[METADATA_FIELD]}
        only = RecordShape(None, model=dict, fields=alone, defaults=today.defaults)
        decode: Callable[[bytes], T] = field_decoder(
            _resolved(written, only, schema_id), METADATA_FIELD, self._subject(written)
        )
        self._metadata_decoders[frame(schema_id)] = decode
        return decode

    def _subject(self, written: RecordShape) -> str:
        return subject_of(self.topic, full_name(written.schema))

    def _written(self, schema_id: int) -> tuple[RecordShape, Way, RecordShape]:
        """Return what the id stands for, the way from there to a record of today, and that record."""
        written = written_record(self._ids, schema_id)
        name = full_name(written.schema)
        own = self._types.get(name)
        # What today's class writes has no way to go, whether or not its version is in a file already.
        if own is not None and (own.avro_namespace is not None or written.schema == self.schemas[own]):
            return written, Way((), name), self.shapes[own]
        if name.rpartition(".")[0] != self._namespace:
            raise WrongType(f"schema id {schema_id} is of {name}, which does not belong on {self.topic}")
        way = self._evolution.way(written.schema)
        cls = self._types.get(f"{self._namespace}.{way.record.rpartition('.')[2]}")
        if cls is None:
            raise WrongType(f"schema id {schema_id} is of {name}, which does not belong on {self.topic}")
        return written, way, self.shapes[cls]


def _resolved(written: RecordShape, reader: RecordShape, schema_id: int) -> RecordShape:
    shape, problems = resolve(written.schema, reader)
    if problems or not isinstance(shape, RecordShape):
        raise UnreadableVersion(f"{full_name(written.schema)} of schema id {schema_id}: {'; '.join(problems)}")
    return shape


class _Alone(tuple[Any]):
    """One field by itself."""


def command_codec(
    topic: str, namespace: str, types: Iterable[type[M]], ids: SchemaIds, evolution: Evolution = NO_EVOLUTION
) -> MessageCodec[M, CommandMetadata]:
    """Return the codec of a topic of commands; what it decodes is validated."""
    return MessageCodec(topic, namespace, types, CommandMetadata, ids, evolution)


def event_codec(
    topic: str, namespace: str, types: Iterable[type[M]], ids: SchemaIds, evolution: Evolution = NO_EVOLUTION
) -> MessageCodec[M, EventMetadata]:
    """Return the codec of a topic of events."""
    return MessageCodec(topic, namespace, types, EventMetadata, ids, evolution)


def message_shape(cls: type[Message], namespace: str, metadata: type[Any]) -> RecordShape:
    """Return the shape of a message on its topic: its own fields after the platform's metadata."""
    inner = _metadata_shape(metadata)
    # A command's sender may leave everything out, the whole record too.
    optional = {METADATA_FIELD: CommandMetadata()} if metadata is CommandMetadata else {}
    field: dict[str, Any] = {"name": METADATA_FIELD, "type": inner.schema}
    if optional:
        field["default"] = dict.fromkeys(CommandMetadata._fields)
    own = dict(cls.shape.schema)
    fields = own.pop("fields")
    schema = {**own, "namespace": cls.avro_namespace or namespace, "fields": [field, *fields]}
    return RecordShape(
        schema,
        model=cls,
        fields={METADATA_FIELD: inner, **cls.shape.fields},
        defaults={**optional, **cls.shape.defaults},
    )


def message_schema(cls: type[Message], namespace: str, metadata: type[Any]) -> dict[str, Any]:
    """Return the whole Avro schema of a message."""
    schema: dict[str, Any] = message_shape(cls, namespace, metadata).schema
    return schema


def _metadata_shape(metadata: type[Any]) -> RecordShape:
    return COMMAND_METADATA if metadata is CommandMetadata else EVENT_METADATA
