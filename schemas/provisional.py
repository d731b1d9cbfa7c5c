"""Provisional ids: a registry in which nothing is registered by asking, so that today's code can be tried on old data.

A message class that has changed since the last `kafold up` has no id yet. It gets a **provisional** one here, beside
the registry's own.

Promises: what the registry knows is answered as it answers; a provisional id is never the registry's, and never leaves
this object.
"""

from schemas.registry import SchemaIds, UnregisteredSchema

FIRST = 2**32 - 1  # ids are four bytes; registries count from 1


class ProvisionalIds:
    """A registry with provisional ids for what it lacks. It implements SchemaIds."""

    def __init__(self, registry: SchemaIds) -> None:
        """Take the registry, which is only read."""
        self._registry = registry
        self._by_id: dict[int, str] = {}

    def id_of(self, subject: str, schema: str) -> int:
        """Return the schema's id, a provisional one if it is not registered."""
        try:
            return self._registry.id_of(subject, schema)
        except UnregisteredSchema:
            made = next((each for each, known in self._by_id.items() if known == schema), FIRST - len(self._by_id))
            self._by_id[made] = schema
            return made

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with this id, or raise UnknownSchemaId."""
        try:
            return self._by_id[schema_id]
        except KeyError:
            return self._registry.schema_of(schema_id)
