"""History: every version that a record's schema has had, as files.

A **version** is the n-th schema of a record, kept for ever as `<aggregate>.<Record>.v<n>.avsc`. The application's
name is left out, so that a copy of the application under another name has the same history. `versions.lock` beside
the files holds the hash of each, so that an edit of an old one is seen.

Promises: reading it checks nothing but its form; what it knows never changes while the program runs.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from schemas.avro_foreign import full_name
from schemas.errors import DefinitionError

Schema = Mapping[str, Any]

LOCK = "versions.lock"
_FILE = re.compile(r"(?P<record>[A-Za-z_]\w*\.[A-Za-z_]\w*)\.v(?P<number>[1-9][0-9]*)\.avsc\Z")
# What does not change how bytes are read.
_WORDS = frozenset({"doc", "default", "aliases", "order", "namespace"})


@dataclass(frozen=True, slots=True)
class History:
    """`versions`: by record, its schemas, the first version first. `folder`: where the files are."""

    versions: Mapping[str, Sequence[Schema]] = field(default_factory=dict)
    folder: Path | None = None

    def schema(self, record: str, number: int) -> Schema:
        """Return a version's schema.

        Raises:
            DefinitionError: there is no such version.
        """
        known = self.versions.get(record, ())
        if not 1 <= number <= len(known):
            raise DefinitionError(f"{record} has no version {number}: its files go up to {len(known)}")
        return known[number - 1]

    def number_of(self, record: str, schema: Schema) -> int | None:
        """Return the version that is the schema, or else the latest one of the same bytes; None: there is none.

        Words count first: two versions may differ in their words alone, when a field's unit has changed.
        """
        for like in (anywhere, likeness):
            wanted = like(schema)
            numbers = [number for number, each in enumerate(self.versions.get(record, ()), 1) if like(each) == wanted]
            if numbers:
                return numbers[-1]
        return None


def read_history(folder: Path) -> History:
    """Read the `.avsc` files of a folder.

    Raises:
        DefinitionError: a file has no version's name, is no schema, or a number is missing.
    """
    found: dict[str, dict[int, Schema]] = {}
    for path in sorted(folder.glob("*.avsc")):
        match = _FILE.match(path.name)
        if match is None:
            raise DefinitionError(f"{path}: the name is not of the form aggregate.Record.v1.avsc")
        try:
            found.setdefault(match["record"], {})[int(match["number"])] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DefinitionError(f"{path}: not JSON: {error}") from error
    for record, numbered in found.items():
        missing = set(range(1, len(numbered) + 1)) - numbered.keys()
        if missing:
            raise DefinitionError(f"{folder}: {record} has no version {min(missing)}; put the file back")
    ordered = {record: [numbered[number] for number in sorted(numbered)] for record, numbered in found.items()}
    return History(ordered, folder)


def record_of(schema: Schema) -> str:
    """Return the name that a record has in a history: its aggregate's and its own."""
    return ".".join(full_name(schema).split(".")[-2:])


def anywhere(schema: Schema) -> Schema:
    """Return the schema without its namespace, which has the application's name."""
    return {key: value for key, value in schema.items() if key != "namespace"}


def file_name(record: str, number: int) -> str:
    """Return the name of a version's file."""
    return f"{record}.v{number}.avsc"


def file_text(schema: Schema) -> str:
    """Return the text of a version's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def lock_text(texts: Mapping[str, str]) -> str:
    """Return the text of the lock file, from the files' texts by name."""
    return "".join(f"{sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(texts.items()))


def locked(text: str) -> Mapping[str, str]:
    """Return the hashes of a lock file by file name."""
    return {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines()) if name}


def likeness(schema: Any) -> str:
    """Return a text that is equal for schemas of the same bytes: without words, defaults and the application's name."""
    return json.dumps(_plain(schema), sort_keys=True)


def _plain(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        kept = {key: _plain(value) for key, value in schema.items() if key not in _WORDS}
        if isinstance(schema.get("name"), str) and "type" in schema:
            kept["name"] = schema["name"].rpartition(".")[2]
        return kept
    if isinstance(schema, str):
        return schema.rpartition(".")[2]
    return [_plain(each) for each in schema] if isinstance(schema, Sequence) else schema
