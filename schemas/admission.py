"""Admission: may a schema be registered under its subject, after what is there already?

Promises: the mode that the application declares decides (`Evolution.mode_of`), and every break is told with its field.
A version that an upcaster leads away from may be broken backward, because the upcaster reads it; `admit` says when that
was so, for registries that know Avro's rules alone.
"""

import json
from collections.abc import Sequence
from typing import Any

from schemas.compatibility import Mode, breaks
from schemas.errors import IncompatibleSchema, UnreadableVersion
from schemas.history import record_of
from schemas.upcasting import Evolution


def mode_of(evolution: Evolution, schema: str) -> Mode:
    """Return the mode that the application declares for a schema's record."""
    return evolution.mode_of(_record(json.loads(schema)))


def admit(evolution: Evolution, subject: str, known: Sequence[str], schema: str) -> bool:
    """Check that a schema may follow its subject's versions; return whether it may do so thanks to an upcaster only.

    Args:
        evolution: the application's modes and upcasters.
        subject: what the schema is to be registered under.
        known: the schemas that are registered there, the oldest first.
        schema: the new one.

    Raises:
        IncompatibleSchema: it may not; the text names the fields and the versions.
    """
    new, versions, mode = json.loads(schema), [json.loads(each) for each in known], mode_of(evolution, schema)
    upcast = frozenset(number for number, old in enumerate(versions, 1) if _is_upcast(evolution, old))
    problems = breaks(mode, versions, new, upcast)
    if problems:
        raise IncompatibleSchema(
            f"{subject} does not take this schema, its mode is {mode}: {'; '.join(problems)}. "
            "Mend the model, or write an upcaster (`kafold schemas check` tells before it ships)"
        )
    return bool(upcast and breaks(mode, versions, new))


def _is_upcast(evolution: Evolution, old: Any) -> bool:
    if not isinstance(old, dict):
        return False
    try:
        return bool(evolution.way(old).upcasters)
    except UnreadableVersion:
        return False


def _record(schema: Any) -> str:
    return record_of(schema) if isinstance(schema, dict) and "name" in schema else ""
