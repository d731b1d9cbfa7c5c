"""The folder of a backup: segments, the plan while it is made, and the manifest when it is whole.

::

    DIR/manifest                        the whole backup's contents; written last
    DIR/plan                            a manifest without segments: what is to be read, while the backup is made
    DIR/written                         a line for each segment that is there, while the backup is made
    DIR/<topic>/<partition>/000000.gz   a segment: records one after the other (see `records`), gzipped

Promises: a file is there whole or not at all, also after kill -9; a file that is damaged is named.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from schemas.position import Place
from streams.backup.errors import DamagedBackup, WrongFolder
from streams.backup.manifest import Manifest, Segment
from streams.backup.records import Stored, decode

MANIFEST, PLAN, WRITTEN = "manifest", "plan", "written"
LEVEL = 1  # of gzip: three times as fast as 6, for a tenth more bytes


class Folder:
    """One backup's folder."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is looked at yet."""
        self.path = path

    def manifest(self) -> Manifest:
        """Return the manifest.

        Raises:
            DamagedBackup: it is not as it was written.
            WrongFolder: there is none.
        """
        if not (self.path / MANIFEST).is_file():
            unfinished = (self.path / PLAN).is_file()
            raise WrongFolder(
                f"{self.path} is an unfinished backup: run `kafold backup {self.path}` again to finish it"
                if unfinished
                else f"{self.path} is no backup: there is no {MANIFEST} in it"
            )
        return self._read(MANIFEST)

    def plan(self) -> Manifest | None:
        """Return the plan of an unfinished backup; None: the folder is empty, or not there.

        Raises:
            DamagedBackup: the plan is not as it was written.
            WrongFolder: there is a whole backup in it, or something else.
        """
        if (self.path / MANIFEST).exists():
            raise WrongFolder(f"{self.path} is a whole backup already: take another folder")
        if (self.path / PLAN).exists():
            return self._read(PLAN)
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise WrongFolder(f"{self.path} is not empty: take a new folder")
        return None

    def begin(self, plan: Manifest) -> None:
        """Write the plan."""
        self.path.mkdir(parents=True, exist_ok=True)
        _write(self.path / PLAN, plan.to_text().encode())

    def written(self) -> dict[Place, list[Segment]]:
        """Return the segments that an unfinished backup has."""
        found: dict[Place, list[Segment]] = {}
        path, good = self.path / WRITTEN, list[str]()
        for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
            try:
                topic, partition, segment = json.loads(line)
                found.setdefault((topic, partition), []).append(Segment.model_validate(segment))
            except (ValueError, TypeError):
                break  # it was cut off by whatever ended the backup; its segment is written again
            good.append(f"{line}\n")
        if path.exists():
            _write(path, "".join(good).encode())
        return found

    def write(
        self, place: Place, number: int, contents: bytes, records: int, last: int, content_sha256: str
    ) -> Segment:
        """Write a segment, then its line."""
        packed = gzip.compress(contents, LEVEL, mtime=0)
        path = self.segment(place, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, packed)
        segment = Segment(
            records=records, last=last, file_sha256=hashlib.sha256(packed).hexdigest(), content_sha256=content_sha256
        )
        line = json.dumps([*place, segment.model_dump()])
        with (self.path / WRITTEN).open("a") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        return segment

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest: from now on it is a whole backup."""
        _write(self.path / MANIFEST, manifest.to_text().encode())
        (self.path / PLAN).unlink()
        (self.path / WRITTEN).unlink(missing_ok=True)

    def read(self, place: Place, number: int, segment: Segment) -> Iterator[Stored]:
        """Yield a segment's records, with their original offsets.

        Raises:
            DamagedBackup: names the file.
        """
        path = self.segment(place, number)
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise DamagedBackup(f"{path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(packed).hexdigest() != segment.file_sha256:
            raise DamagedBackup(f"{path} is not as it was written: its checksum is another one")
        try:
            yield from decode(gzip.decompress(packed))
        except (OSError, EOFError, zlib.error, DamagedBackup) as error:
            raise DamagedBackup(f"{path} cannot be unpacked: {error}") from error

    def segment(self, place: Place, number: int) -> Path:
        """Return the path of a segment."""
        return self.path / place[0] / str(place[1]) / f"{number:06d}.gz"

    def _read(self, name: str) -> Manifest:
        path = self.path / name
        try:
            return Manifest.from_text(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, DamagedBackup) as error:
            raise DamagedBackup(f"{path} is not as it was written: {error}") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
