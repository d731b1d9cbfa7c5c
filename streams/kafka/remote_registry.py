"""A registry of yours: schemas and their ids behind an URL with Confluent's API, instead of the `_schemas` topic.

Confluent's client needs the packages of `kafold[registry]`, so whoever imports this module does it when it is asked
for.

Promises: the same port as the embedded registry (SchemaIds); what was answered once is not asked again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.admission import admit, mode_of
from schemas.closing import Closing
from schemas.codec import NO_EVOLUTION
from schemas.compatibility import Mode
from schemas.errors import KafoldError, UnknownSchemaId
from schemas.registry import UnregisteredSchema
from schemas.upcasting import Evolution
from streams.kafka.registry import RegistryUnavailable

TIMEOUT_S = 30.0
# Of the subject, its version, the schema: a 404 without such a code comes from something that is no registry.
NOT_FOUND = frozenset({40401, 40402, 40403, 40408})
UNAUTHORIZED = frozenset({401, 403})


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
        return {"url": self.url, "timeout": TIMEOUT_S, **login, **self.properties}


class RemoteRegistry(Closing):
    """Asks a registry. It implements SchemaIds, and may be shared between threads."""

    def __init__(self, remote: Remote) -> None:
        """Make the client; nothing is asked yet.

        Raises:
            RegistryUnavailable: the client does not take the properties, or cannot read a file that they name.
        """
        self._url = remote.url
        try:
            self._client = SchemaRegistryClient(remote.configuration())
        except (ValueError, TypeError, OSError) as error:
            raise RegistryUnavailable(f"the schema registry's settings cannot be used: {error}") from error

    def id_of(self, subject: str, schema: str) -> int:
        """Return the schema's id under the subject, or raise UnregisteredSchema."""
        unknown = UnregisteredSchema(f"the schema of {subject} is not registered: start `kafold up` once")
        with self._asking(unknown):
            return int(self._client.lookup_schema(subject, Schema(schema, "AVRO")).schema_id)

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with this id as JSON text, or raise UnknownSchemaId."""
        with self._asking(UnknownSchemaId(f"no schema has the id {schema_id}")):
            return str(self._client.get_schema(schema_id).schema_str)

    def register(self, subjects: Mapping[str, str], evolution: Evolution = NO_EVOLUTION) -> int:
        """Register each subject's schema that is not there yet, and its mode; return how many schemas were not.

        Raises:
            IncompatibleSchema: a schema may not follow its subject's versions; those before it are registered.
            RegistryUnavailable: it cannot be asked, or refused; the text has its reason.
        """
        return sum(self._register(subject, schema, evolution) for subject, schema in subjects.items())

    def _register(self, subject: str, schema: str, evolution: Evolution) -> bool:
        mode = mode_of(evolution, schema)
        try:
            self.id_of(subject, schema)
        except UnregisteredSchema:
            by_upcaster = admit(evolution, subject, self._versions(subject), schema)
            # The registry does not know of upcasters: for this one version it has to let be.
            self._configure(subject, Mode.NONE if by_upcaster else mode)
            with self._asking():
                self._client.register_schema(subject, Schema(schema, "AVRO"))
            self._configure(subject, mode)
            return True
        self._configure(subject, mode)
        return False

    def _versions(self, subject: str) -> list[str]:
        """Return the schemas of a subject, the oldest first."""
        try:
            with self._asking(UnregisteredSchema(subject)):
                numbers = sorted(self._client.get_versions(subject))
                return [str(self._client.get_version(subject, number).schema.schema_str) for number in numbers]
        except UnregisteredSchema:
            return []

    def _configure(self, subject: str, mode: Mode) -> None:
        if self._mode(subject) != mode:
            with self._asking():
                self._client.set_compatibility(subject, str(mode))

    def _mode(self, subject: str) -> str | None:
        """Return the mode of a subject alone; None: it has none."""
        try:
            with self._asking(UnregisteredSchema(subject)):
                return str(self._client.get_compatibility(subject))
        except UnregisteredSchema:
            return None

    @contextmanager
    def _asking(self, unknown: KafoldError | None = None) -> Iterator[None]:
        """Turn the registry's "not found" into `unknown`, and whatever else goes wrong into RegistryUnavailable."""
        try:
            yield
        except SchemaRegistryError as error:
            if unknown is not None and error.error_code in NOT_FOUND:
                raise unknown from error
            raise RegistryUnavailable(self._refused(error)) from error
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryUnavailable(self._unreached(error)) from error

    def _refused(self, error: SchemaRegistryError) -> str:
        if error.http_status_code in UNAUTHORIZED:
            return (
                f"the schema registry {self._url} does not let us in (HTTP {error.http_status_code}): "
                "check registry.username and registry.password"
            )
        return f"the schema registry {self._url} refused: {error.error_message} (code {error.error_code})"

    def _unreached(self, error: Exception) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                f"the schema registry {self._url} shows a certificate that is not trusted ({error}): "
                'set registry.properties = { "ssl.ca.location" = "<its authority\'s file>" }'
            )
        return f"the schema registry {self._url} cannot be asked: {str(error) or type(error).__name__}"

    def close(self) -> None:
        """Close the connections."""
        self._client.__exit__()
