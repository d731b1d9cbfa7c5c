"""A registry in memory, which gives every schema that it is asked for an id."""

from schemas.errors import UnknownSchemaId


class MemoryIds:
    """Implements SchemaIds: registers whatever the codec asks for."""

    def __init__(self) -> None:
        self.schemas: list[str] = []

    def id_of(self, subject: str, schema: str) -> int:
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def schema_of(self, schema_id: int) -> str:
        if not 1 <= schema_id <= len(self.schemas):
            raise UnknownSchemaId(f"no schema has the id {schema_id}")
        return self.schemas[schema_id - 1]
