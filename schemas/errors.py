"""Errors of the published language, as a tree. Each says what went wrong and how to handle it.

::

    KafoldError                     catch this to catch everything of kafold's
    ├── UnsupportedType             a message has a field that Avro cannot express: change the field's type
    ├── DefinitionError             an aggregate, projection or application is declared wrongly: fix the declaration
    ├── HandlerNotFound             no handler is registered for a command or query: register one
    ├── IncompatibleSchema          a schema may not follow its subject's versions: mend it, or write an upcaster
    ├── EncodingError               a value does not fit its schema: fix the value (the sender's fault)
    ├── DecodingError               bytes are not a message of this topic: dead-letter them, go on
    │   ├── WrongMagicByte          not in the Confluent wire format
    │   ├── UnknownSchemaId         no schema has that id: the producer did not register it here
    │   ├── UnreadableVersion       nothing leads from its schema to today's class: write an upcaster
    │   ├── UpcasterFailed          an upcaster raised, or made what is no value of its target: mend it, decode anew
    │   ├── WrongType               the id is of a record that does not belong on this topic
    │   ├── TruncatedMessage        the body ends before its last field
    │   ├── TrailingBytes           bytes are left after the last field
    │   └── InvalidValue            the body decodes, but a value breaks the message's own rules
    └── InvalidPosition             a text is not a position, or belongs to another topic of the same name

A rule's refusal is not here: it is a value (:class:`schemas.outcomes.Rejected`).
"""


class KafoldError(Exception):
    """The root of every error that kafold raises on purpose."""


class UnsupportedType(KafoldError):
    """A message's field has a type that Avro cannot express; the text names the field and what to use instead."""


class DefinitionError(KafoldError):
    """An aggregate, a projection or an application is declared wrongly; the text says what to change."""


class HandlerNotFound(KafoldError):
    """A bus was given a message that nobody handles; the text names its type and what is registered."""


class IncompatibleSchema(KafoldError):
    """A schema may not follow the versions that its subject has; the text names the mode, the fields and versions."""


class EncodingError(KafoldError):
    """A value does not fit its Avro schema, for example an int beyond 64 bits."""


class DecodingError(KafoldError):
    """Bytes that are not a message of this topic. They will not get better: dead-letter them and go on."""


class WrongMagicByte(DecodingError):
    """The first byte is not 0, so this is not the Confluent wire format."""


class UnknownSchemaId(DecodingError):
    """No schema has the id that the message carries."""


class WrongType(DecodingError):
    """The schema id is of a record that does not belong on this topic."""


class UnreadableVersion(DecodingError):
    """Nothing leads from the schema that the message was written with to today's class: write an upcaster."""


class UpcasterFailed(DecodingError):
    """An upcaster raised, or made what is no value of its target. Mend it: the raw bytes are kept, decode them anew."""


class TruncatedMessage(DecodingError):
    """The body ends before its last field."""


class TrailingBytes(DecodingError):
    """Bytes are left after the last field."""


class InvalidValue(DecodingError):
    """The body decodes, but a value breaks the message's own rules (pydantic's validation)."""


class InvalidPosition(KafoldError):
    """A text is not a position, or a position speaks of another topic that had the same name."""
