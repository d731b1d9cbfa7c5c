"""A seal: what RocksDB's files must still hold, for what was written to them to be whole.

RocksDB notices a table that is missing, cut short or damaged, and a damaged log. It takes a manifest that ends early,
or a log that is gone, for an older database: it opens what is left, and newer writes follow upon a gap. So each write
that has a position has the seal of the manifest and the logs, as they are just before it, in it.

Promises: where the seal of the last write holds of the files that were found, no write before it is missing. It may
not hold although nothing is missing, for the moments between a flush and the next write.
"""

import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Seal(NamedTuple):
    """The manifest's name, how many bytes it has and their CRC-32, and the logs' sizes by name."""

    manifest: str
    size: int
    checksum: int
    logs: Mapping[str, int]


class Files(NamedTuple):
    """A closed database's manifest, and its logs' sizes by name."""

    manifest: str
    data: bytes
    logs: Mapping[str, int]


class Sealer:
    """Makes the seals of an open database. It reads what was appended to the manifest since the last one."""

    def __init__(self, path: Path) -> None:
        """`path`: the database's folder."""
        self._path = path
        self._manifest, self._size, self._checksum = "", 0, 0

    def seal(self) -> Seal:
        """Return the seal of the files as they are.

        Raises:
            OSError: they cannot be read.
        """
        logs = _logs(self._path)  # before the manifest: one that is flushed meanwhile is still sealed
        manifest = _manifest(self._path)
        if manifest != self._manifest:
            self._manifest, self._size, self._checksum = manifest, 0, 0
        with (self._path / manifest).open("rb") as file:
            file.seek(self._size)
            data = file.read()
        self._size += len(data)
        self._checksum = zlib.crc32(data, self._checksum)
        return Seal(manifest, self._size, self._checksum, logs)


def files_of(path: Path) -> Files | None:
    """Return the files of a database that is not open; None: there is none that can be read."""
    try:
        manifest = _manifest(path)
        return Files(manifest, (path / manifest).read_bytes(), _logs(path))
    except (OSError, ValueError):
        return None


def holds(seal: Seal, files: Files) -> bool:
    """Return whether the files are those that were sealed, or what RocksDB made of them when it opened them again.

    Opening begins a new manifest with all that the old one and the logs have, in tables: it is whole, or older. So is
    what has no logs at all: closing brings them into tables.
    """
    if files.manifest != seal.manifest:
        return True
    sealed = files.data[: seal.size]
    if len(sealed) < seal.size or zlib.crc32(sealed) != seal.checksum:
        return False
    return files.logs.keys().isdisjoint(seal.logs) or all(
        files.logs.get(name, -1) >= size for name, size in seal.logs.items()
    )


def _manifest(path: Path) -> str:
    return (path / "CURRENT").read_text().strip()


def _logs(path: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.endswith(".log"):
                with suppress(FileNotFoundError):  # flushed meanwhile
                    sizes[entry.name] = entry.stat().st_size
    return sizes
