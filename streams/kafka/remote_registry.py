"""A registry of yours: schemas and their ids behind an URL with Confluent's API, instead of the `_schemas` topic.

Confluent's client needs the packages of `kafold[registry]`, so whoever imports this module does it when it is asked
for.

Promises: the same port as the embedded registry (SchemaIds); what was answered once is not asked again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.errors import KafoldError, UnknownSchemaId
from schemas.registry import UnregisteredSchema
from streams.kafka.registry import RegistryUnavailable

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a registry is; `properties`: more of its client's, such as `ssl.ca.location`."""

    url: str
    username: str | None = None
    password: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """Return the client's configuration."""
        login = {"basic.auth.user.info": f"{self.username}:{self.password or ''}"} if self.username else {}
        return {"url": self.url, **login, **self.properties}


class RemoteRegistry:
    """Asks a registry. It implements SchemaIds, and may be shared between threads."""

    def __init__(self, remote: Remote) -> None:
        """Make the client; nothing is asked yet."""
        self._client = SchemaRegistryClient(remote.configuration())

    def id_of(self, subject: str, schema: str) -> int:
        """Return the schema's id under the subject, or raise UnregisteredSchema."""
        unknown = UnregisteredSchema(f"the schema of {subject} is not registered: start `kafold up` once")
        with self._asking(unknown):
            return int(self._client.lookup_schema(subject, Schema(schema, "AVRO")).schema_id)

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with this id as JSON text, or raise UnknownSchemaId."""
        with self._asking(UnknownSchemaId(f"no schema has the id {schema_id}")):
            return str(self._client.get_schema(schema_id).schema_str)

    def register(self, subjects: Mapping[str, str]) -> int:
        """Register each subject's schema that is not there yet; return how many were not.

        Raises:
            RegistryUnavailable: it refused; the text has its reason, an incompatible schema for example.
        """
        return sum(self._register(subject, schema) for subject, schema in subjects.items())

    def _register(self, subject: str, schema: str) -> bool:
        try:
            self.id_of(subject, schema)
        except UnregisteredSchema as unknown:
            with self._asking(unknown):
                self._client.register_schema(subject, Schema(schema, "AVRO"))
            return True
        return False

    @contextmanager
    def _asking(self, unknown: KafoldError) -> Iterator[None]:
        """Turn the registry's "not found" into `unknown`, and every other refusal into RegistryUnavailable."""
        try:
            yield
        except SchemaRegistryError as error:
            if error.http_status_code == NOT_FOUND:
                raise unknown from error
            text = f"the schema registry refused: {error.error_message} (code {error.error_code})"
            raise RegistryUnavailable(text) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.__exit__()

    def __enter__(self) -> Self:
        """Return the registry; it is closed at the end of the `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()
