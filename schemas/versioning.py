"""Versioning: what `kafold schemas make` writes, and what `kafold schemas check` finds wrong.

Promises: old versions are never written again; what is wrong is told in a line that names the record, its field and
the way out. Files are read and written by the caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from schemas.changes import changes
from schemas.compatibility import breaks
from schemas.contract import Contract
from schemas.history import Schema, anywhere, file_name, locked
from schemas.registry import canonical
from schemas.shape import RecordShape
from schemas.upcasting import Evolution


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that is not in a file yet: what changed, and what it breaks under its mode."""

    record: str
    number: int
    schema: Schema
    changes: Sequence[str]
    breaks: Sequence[str]


def published(contracts: Sequence[Contract]) -> Mapping[str, Schema]:
    """Return today's schema of every record that the contracts publish, by its name in the history."""
    return {name: shape.schema for name, shape in _shapes(contracts).items()}


def _shapes(contracts: Sequence[Contract]) -> Mapping[str, RecordShape]:
    return {name: shape for contract in contracts for name, shape in contract.records().items()}


def new_versions(evolution: Evolution, contracts: Sequence[Contract]) -> Sequence[NewVersion]:
    """Return the versions that the models ask for and the files do not have."""
    found = []
    for record, schema in published(contracts).items():
        known = evolution.history.versions.get(record, ())
        if known and canonical(anywhere(known[-1])) == canonical(anywhere(schema)):
            continue
        upcast = evolution.upcast_versions(record)
        broken = breaks(evolution.mode_of(record), known, schema, upcast)
        found.append(NewVersion(record, len(known) + 1, schema, _told(known, schema), broken))
    return found


def wrong(evolution: Evolution, contracts: Sequence[Contract], texts: Mapping[str, str], lock: str) -> Sequence[str]:
    """Return everything that is wrong with the versions, one line each; nothing: they may ship.

    `texts` are the files' texts by name, `lock` is that of the lock file.
    """
    shapes = _shapes(contracts)
    return [
        *_edited(texts, locked(lock)),
        *_drifted(evolution, contracts),
        *_broken(evolution, shapes),
        *(f"{each}; write an upcaster" for each in evolution.check(shapes)),
    ]


def _drifted(evolution: Evolution, contracts: Sequence[Contract]) -> Sequence[str]:
    lines = []
    for new in new_versions(evolution, contracts):
        problems = [f"{new.record}: {each}" for each in new.breaks]
        what = "; ".join(new.changes) if new.number > 1 else "it is new"
        lines += [*problems, f"{new.record} is not in its files ({what}): run `kafold schemas make`"]
    return lines


def _broken(evolution: Evolution, shapes: Mapping[str, RecordShape]) -> Sequence[str]:
    """Return the breaks between the versions in the files."""
    lines = []
    for record in evolution.history.versions.keys() & shapes.keys():
        versions = evolution.history.versions[record]
        upcast, mode = evolution.upcast_versions(record), evolution.mode_of(record)
        for number in range(2, len(versions) + 1):
            found = breaks(mode, versions[: number - 1], versions[number - 1], upcast)
            lines += [f"{record} version {number} breaks {mode}: {each}" for each in found]
    return lines


def _edited(texts: Mapping[str, str], hashes: Mapping[str, str]) -> Sequence[str]:
    lines = []
    for name, digest in hashes.items():
        if name not in texts:
            lines.append(f"{name} is gone: versions are for ever, take it from the repository's past")
        elif sha256(texts[name].encode()).hexdigest() != digest:
            lines.append(
                f"{name} was edited: versions are for ever, undo it and run `kafold schemas make` for a new one"
            )
    lines += [f"{name} was not written by `kafold schemas make`: delete it" for name in texts.keys() - hashes.keys()]
    return lines


def _told(known: Sequence[Schema], schema: Schema) -> Sequence[str]:
    return changes(anywhere(known[-1]), anywhere(schema)) if known else ["the first version"]


def files_of(versions: Sequence[NewVersion]) -> Mapping[str, Schema]:
    """Return the schemas of new versions by their files' names."""
    return {file_name(each.record, each.number): each.schema for each in versions}
