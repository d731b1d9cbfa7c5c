"""Changes: what is different between two versions of a schema, in sentences.

Promises: every difference is told, with the path of its field; a change of words alone is told as such.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schemas.history import likeness


def changes(old: Any, new: Any, path: str = "") -> Sequence[str]:
    """Return what changed from the old schema to the new one."""
    return list(_changes(old, new, path))


def _changes(old: Any, new: Any, path: str) -> Iterator[str]:
    if _is(old, "record") and _is(new, "record"):
        yield from _record_changes(old, new, path)
    elif _is(old, "enum") and _is(new, "enum"):
        yield from _symbol_changes(old, new, path)
    elif likeness(old) != likeness(new):
        yield f"{path}: the type changed from {told(old)} to {told(new)}"


def _record_changes(old: Any, new: Any, path: str) -> Iterator[str]:
    if old["name"].rpartition(".")[2] != new["name"].rpartition(".")[2]:
        yield f"{path or 'the record'}: renamed from {old['name']} to {new['name']}"
    if old.get("doc") != new.get("doc"):
        yield f"{path or 'the record'}: other words describe it"
    before, after = _fields(old), _fields(new)
    yield from (f"{_join(path, name)}: removed" for name in before if name not in after)
    for name, field in after.items():
        if name not in before:
            default = f"the default {json.dumps(field['default'])}" if "default" in field else "no default"
            yield f"{_join(path, name)}: added, {told(field['type'])}, with {default}"
        else:
            yield from _field_changes(before[name], field, _join(path, name))
    if [each for each in before if each in after] != [each for each in after if each in before]:
        yield f"{path or 'the record'}: the fields are in another order"


def _field_changes(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _changes(old["type"], new["type"], path)
    if old.get("doc") != new.get("doc"):
        yield f"{path}: other words describe it"
    if old.get("default", _NONE) != new.get("default", _NONE):
        yield f"{path}: the default changed from {_default(old)} to {_default(new)}"


def _symbol_changes(old: Any, new: Any, path: str) -> Iterator[str]:
    for symbol in old["symbols"]:
        if symbol not in new["symbols"]:
            yield f"{path}: the symbol {symbol} was removed"
    for symbol in new["symbols"]:
        if symbol not in old["symbols"]:
            yield f"{path}: the symbol {symbol} was added"
    if old["name"] != new["name"]:
        yield f"{path}: the enum was renamed from {old['name']} to {new['name']}"


_NONE = object()


def _default(field: Mapping[str, Any]) -> str:
    return json.dumps(field["default"]) if "default" in field else "none"


def _fields(schema: Any) -> dict[str, Any]:
    return {field["name"]: field for field in schema["fields"]}


def _is(schema: Any, kind: str) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == kind


def told(schema: Any) -> str:
    """Return a type for people: `null | string`, `array of long`, `date`."""
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return " | ".join(map(told, schema))
    if not isinstance(schema, Mapping):
        return str(schema)
    match schema["type"]:
        case "array":
            return f"array of {told(schema['items'])}"
        case "map":
            return f"map of {told(schema['values'])}"
        case "record" | "enum" | "fixed":
            return str(schema["name"])
        case kind if schema.get("logicalType") == "decimal":
            return f"decimal({schema['precision']}, {schema['scale']}) in {kind}"
        case kind:
            return str(schema.get("logicalType", kind))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
