"""The registry's contents: which schema has which id, under which subject and version.

A **subject** is a line of schema versions; ours are named `<topic>-<record full name>`. The contents are a fold of the
records of the `_schemas` topic, in the format of Confluent's and Karapace's registries, so that either can take over.

Promises: the same schema has one id, whichever subjects it is under, and an id never changes its schema: the first
record to claim an id or a version keeps it. What is unknown or broken is skipped, never misread. Reading and writing
the topic is `streams/kafka/registry.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol

from schemas.errors import KafoldError, UnknownSchemaId

SCHEMAS_TOPIC = "_schemas"


class UnregisteredSchema(KafoldError):
    """A schema has no id under its subject yet: start `kafold up`, or run `kafold schemas register`, once."""


class SchemaIds(Protocol):
    """The port to a registry: what the codec needs of it."""

    def id_of(self, subject: str, schema: str) -> int:
        """Return the schema's id under the subject, or raise UnregisteredSchema."""
        ...

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with this id as JSON text, or raise UnknownSchemaId."""
        ...


def identity(schema: str) -> str:
    """Return a text that is equal for the same schema, in whichever order others have written its keys."""
    try:
        return json.dumps(json.loads(schema), sort_keys=True)
    except (ValueError, RecursionError):
        return schema


def canonical(schema: Any) -> str:
    """Return a schema as the JSON text that is compared and stored: no blanks, the author's order of keys."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


class Registered(NamedTuple):
    """One version of a subject."""

    subject: str
    version: int
    schema_id: int
    schema: str


@dataclass(slots=True)
class Registry:
    """The fold of the records of the `_schemas` topic. It implements SchemaIds for what it has seen.

    Every process folds the whole topic when it starts, and asks for few of its schemas. So a text is kept as it came,
    and looked into when it is asked for.
    """

    by_id: dict[int, str] = field(default_factory=dict)  # as they were written, with whichever blanks
    subjects: dict[str, dict[int, int]] = field(default_factory=dict)
    compatibility: dict[str | None, str] = field(default_factory=dict)
    _claims: dict[tuple[str, int], tuple[bytes, bytes]] = field(default_factory=dict)
    _usurped: dict[bytes, bytes | None] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)  # each subject's highest version that was ever claimed
    _identified: dict[str, int] = field(default_factory=dict)
    _identified_count: int = 0  # how many of `by_id`, whose order is that of the log, are in `_identified`

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record. Records of another kind (NOOP, MODE), and broken ones, change nothing."""
        named, stored = _json(key), _json(value)
        match named:
            case {"keytype": "SCHEMA", "subject": str(subject), "version": int(version)} if version > 0:
                self._apply_schema(subject, version, key or b"", value, stored)
            case {"keytype": "DELETE_SUBJECT", "subject": str(subject)}:
                self._delete(subject, stored.get("version"))
            case {"keytype": "CONFIG", "subject": str() | None as about}:
                self._configure(about, stored.get("compatibilityLevel"))
            case _:
                pass

    def _apply_schema(
        self, subject: str, version: int, key: bytes, value: bytes | None, stored: Mapping[str, Any]
    ) -> None:
        if value is None:
            # A tombstone: the version is gone for good.
            self._claims.pop((subject, version), None)
            self._usurped.pop(key, None)
            self.subjects.get(subject, {}).pop(version, None)
            return
        schema_id, text = stored.get("id"), stored.get("schema")
        if not isinstance(schema_id, int) or not isinstance(text, str) or schema_id < 1:
            return
        if not self._may_have(schema_id, text) or not self._may_claim(subject, version, schema_id):
            # Two writers at once: the first record stays in force, and compaction must not keep the other one.
            self._usurped[key] = self._claims.get((subject, version), (key, None))[1]
            return
        self._usurped.pop(key, None)
        self._claim(Registered(subject, version, schema_id, text), key, value)
        if stored.get("deleted"):
            self.subjects[subject].pop(version, None)

    def _may_have(self, schema_id: int, text: str) -> bool:
        known = self.by_id.get(schema_id, text)
        return known == text or identity(known) == identity(text)

    def _may_claim(self, subject: str, version: int, schema_id: int) -> bool:
        claimed = self._claims.get((subject, version))
        return claimed is None or _json(claimed[1]).get("id") == schema_id

    def _claim(self, made: Registered, key: bytes, value: bytes) -> None:
        self._claims[made.subject, made.version] = key, value
        self.by_id.setdefault(made.schema_id, made.schema)
        self.subjects.setdefault(made.subject, {})[made.version] = made.schema_id
        self._last[made.subject] = max(made.version, self._last.get(made.subject, 0))

    def _delete(self, subject: str, last: Any) -> None:
        """Hide a subject's versions up to the last deleted one. Their ids stay: messages carry them."""
        versions = self.subjects.get(subject, {})
        for version in [each for each in versions if isinstance(last, int) and each <= last]:
            del versions[version]

    def _configure(self, subject: str | None, level: Any) -> None:
        if isinstance(level, str):
            self.compatibility[subject] = level
        else:
            self.compatibility.pop(subject, None)

    def id_of(self, subject: str, schema: str) -> int:
        """Return the schema's id under the subject."""
        wanted = identity(schema)
        for schema_id in self.subjects.get(subject, {}).values():
            if identity(self.by_id[schema_id]) == wanted:
                return schema_id
        raise UnregisteredSchema(f"the schema of {subject} is not registered: start `kafold up` once")

    def any_id_of(self, schema: str) -> int | None:
        """Return the schema's id under whichever subject; None: it has none."""
        for schema_id, text in islice(self.by_id.items(), self._identified_count, None):
            self._identified.setdefault(identity(text), schema_id)
        self._identified_count = len(self.by_id)
        return self._identified.get(identity(schema))

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with this id as JSON text without blanks."""
        try:
            return _canonical_text(self.by_id[schema_id])
        except KeyError:
            raise UnknownSchemaId(f"no schema has the id {schema_id}") from None

    def versions(self, subject: str) -> Sequence[Registered]:
        """Return the subject's versions, oldest first."""
        found = sorted(self.subjects.get(subject, {}).items())
        return [Registered(subject, version, schema_id, self.schema_of(schema_id)) for version, schema_id in found]

    def registration(self, subject: str, schema: str) -> tuple[bytes, bytes] | None:
        """Return the record (key, value) that registers the schema under the subject; None: it is there already."""
        schema_id = self.any_id_of(schema)
        if schema_id in self.subjects.get(subject, {}).values():
            return None
        if schema_id is None:
            schema_id = max(self.by_id, default=0) + 1
        # Versions that were deleted count: a number is not given twice.
        version = self._last.get(subject, 0) + 1
        key = {"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}
        value = {"subject": subject, "version": version, "id": schema_id, "schema": schema, "deleted": False}
        return canonical(key).encode(), canonical(value).encode()

    def configuration(self, subject: str, mode: str) -> tuple[bytes, bytes] | None:
        """Return the record (key, value) that gives the subject its mode; None: it has it already."""
        if self.compatibility.get(subject) == mode:
            return None
        key = {"keytype": "CONFIG", "subject": subject, "magic": 0}
        return canonical(key).encode(), canonical({"compatibilityLevel": mode}).encode()

    def repairs(self) -> Sequence[tuple[bytes, bytes | None]]:
        """Return the records to write again, so that compaction keeps those in force and no usurper."""
        return list(self._usurped.items())


def _json(data: bytes | None) -> Mapping[str, Any]:
    try:
        loaded = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _canonical_text(text: str) -> str:
    """Return an Avro schema without its blanks; another language's schema as it is."""
    try:
        return canonical(json.loads(text))
    except (ValueError, RecursionError):
        return text
