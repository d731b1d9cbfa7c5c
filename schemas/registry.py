"""The registry's contents: which schema has which id, under which subject and version.

A **subject** is a line of schema versions; ours are named `<topic>-<record full name>`. The contents are a fold of the
records of the `_schemas` topic, in the format of Confluent's and Karapace's registries, so that either can take over.

Promises: the same schema has one id, whichever subjects it is under; what is unknown is skipped, never misread. Reading
and writing the topic is `streams/kafka/registry.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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


def canonical(schema: Any) -> str:
    """Return a schema as the JSON text that is compared and stored: no blanks, the author's order of keys."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


@dataclass(slots=True)
class Registry:
    """The fold of the records of the `_schemas` topic. It implements SchemaIds for what it has seen."""

    by_id: dict[int, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, dict[int, int]] = field(default_factory=dict)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Fold one record. Records of another kind (NOOP, CONFIG, MODE), and broken ones, change nothing."""
        named = _json(key)
        if named.get("keytype") != "SCHEMA":
            return
        subject, version = str(named.get("subject")), int(named.get("version", 0))
        stored = _json(value)
        if not stored or stored.get("deleted"):
            self.subjects.get(subject, {}).pop(version, None)
            return
        text = canonical(json.loads(stored["schema"])) if _is_json(stored["schema"]) else str(stored["schema"])
        schema_id = int(stored["id"])
        self.by_id[schema_id] = text
        self.ids.setdefault(text, schema_id)
        self.subjects.setdefault(subject, {})[version] = schema_id

    def id_of(self, subject: str, schema: str) -> int:
        """Return the schema's id under the subject."""
        schema_id = self.ids.get(schema)
        if schema_id is None or schema_id not in self.subjects.get(subject, {}).values():
            raise UnregisteredSchema(f"the schema of {subject} is not registered: start `kafold up` once")
        return schema_id

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with this id as JSON text."""
        try:
            return self.by_id[schema_id]
        except KeyError:
            raise UnknownSchemaId(f"no schema has the id {schema_id}") from None

    def registration(self, subject: str, schema: str) -> tuple[bytes, bytes] | None:
        """Return the record (key, value) that registers the schema under the subject; None: it is there already."""
        versions = self.subjects.get(subject, {})
        schema_id = self.ids.get(schema)
        if schema_id in versions.values():
            return None
        if schema_id is None:
            schema_id = max(self.by_id, default=0) + 1
        version = max(versions, default=0) + 1
        key = {"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1}
        value = {"subject": subject, "version": version, "id": schema_id, "schema": schema, "deleted": False}
        return canonical(key).encode(), canonical(value).encode()


def _json(data: bytes | None) -> Mapping[str, Any]:
    try:
        loaded = json.loads(data or b"")
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
