"""Local state: what a partition's owner knows, kept on its disk (RocksDB), so that a restart reads only the log's tail.

It is a cache of the log and never the truth. It is stamped with what it was made by (the fingerprint of the folding
code and the topics' UUIDs) and with the position that it covers; anything missing, stale or corrupt is thrown away
and rebuilt from the log.

Promises: states, outcomes and their position are written together or not at all; an outcome is found for the dedupe
window, by its recorded time, and removed after it.
"""

import json
import logging
import os
import pickle
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from rocksdict import BlockBasedOptions, Options, Rdict, WriteBatch

from schemas.position import Place
from streams.kernel.errors import LocalStateUnreadable
from streams.kernel.processing import Known

_LOG = logging.getLogger("kafold.processor")
_TIME = struct.Struct(">Q")
_STAMP, _STATE, _OUTCOME, _BY_TIME = b"m", b"s", b"o", b"t"
_UNREADABLE = "UNREADABLE"
FORMAT = 2
BUCKET_MS = 600_000
EXPIRED_MAX = 100_000


class Remembered(NamedTuple):
    """A final outcome: when it was given, and its record."""

    time_ms: int
    encoded: bytes


class LocalState:
    """The RocksDB of one commands partition. `stamp`: what must be equal for the contents to be of use.

    Its methods raise LocalStateUnreadable when RocksDB finds damage that was not seen at the start.
    """

    def __init__(self, path: Path, stamp: Mapping[str, str]) -> None:
        """Open it; contents of another stamp, or that cannot be read, are thrown away."""
        self._stamp = {**stamp, "format": str(FORMAT)}
        self._path, self._db = _opened(path)
        self.position: dict[Place, int] = {}
        try:
            self._read_position()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the log has it all
            _LOG.warning("local state %s is rebuilt from the log: %s", path, error)
            self.clear()

    def _read_position(self) -> None:
        if (self._path / _UNREADABLE).exists():
            raise ValueError("it could not be read")
        stored = self._db.get(_STAMP)
        if stored is None:
            return
        found = json.loads(stored)
        if found["stamp"] != self._stamp:
            raise ValueError("it was made by other code, or from other topics")
        self.position = {(topic, partition): offset for topic, partition, offset in found["position"]}

    def clear(self) -> None:
        """Throw the contents away."""
        self._db.close()
        shutil.rmtree(self._path)
        self._db = _database(self._path)
        self.position = {}

    def known(self, aggregate_id: str) -> Known | None:
        """Return what is known of an aggregate."""
        stored = self._get(_STATE + aggregate_id.encode())
        return None if stored is None else Known(*pickle.loads(stored))  # noqa: S301 - our own file, under our own stamp

    def outcome(self, command_id: str) -> Remembered | None:
        """Return the final outcome of a command."""
        stored = self._get(_OUTCOME + command_id.encode())
        return None if stored is None else Remembered(_TIME.unpack_from(stored)[0], stored[_TIME.size :])

    def write(
        self, known: Mapping[str, Known], outcomes: Mapping[str, Remembered], position: Mapping[Place, int]
    ) -> None:
        """Write what has changed, with the position that it covers, in one step."""
        batch = WriteBatch(raw_mode=True)
        for aggregate_id, each in known.items():
            batch.put(_STATE + aggregate_id.encode(), pickle.dumps(tuple(each), pickle.HIGHEST_PROTOCOL))
        pack, buckets = _TIME.pack, dict[int, list[str]]()
        for command_id, (time_ms, encoded) in outcomes.items():
            batch.put(_OUTCOME + command_id.encode(), pack(time_ms) + encoded)
            buckets.setdefault(time_ms // BUCKET_MS, []).append(command_id)
        for bucket, command_ids in buckets.items():
            # One entry for all of a bucket's ids in this write: an entry for each costs as much as the outcomes.
            batch.put(_BY_TIME + pack((bucket + 1) * BUCKET_MS) + command_ids[0].encode(), orjson.dumps(command_ids))
        places = [[topic, partition, offset] for (topic, partition), offset in position.items()]
        batch.put(_STAMP, json.dumps({"stamp": self._stamp, "position": places}).encode())
        with self._noticed():
            self._db.write(batch)
        self.position = dict(position)

    def expire(self, before_ms: int) -> None:
        """Remove outcomes that were given before a time, ten minutes late at most; about 100,000 a call."""
        with self._noticed():
            self._expire(before_ms)

    def _expire(self, before_ms: int) -> None:
        batch, removed = WriteBatch(raw_mode=True), 0
        entries: Any = self._db.items(from_key=_BY_TIME)
        for key, command_ids in entries:
            if removed > EXPIRED_MAX or not _BY_TIME <= key < _BY_TIME + _TIME.pack(max(before_ms, 0)):
                break
            removed += self._remove(batch, orjson.loads(command_ids), _TIME.unpack_from(key, 1)[0])
            batch.delete(key)
        self._db.write(batch)

    def _remove(self, batch: WriteBatch, command_ids: Sequence[str], before_ms: int) -> int:
        for key in (_OUTCOME + command_id.encode() for command_id in command_ids):
            stored: Any = self._db.get(key)
            # A failed command's later outcome may have renewed it under another time.
            if stored is not None and _TIME.unpack_from(stored)[0] < before_ms:
                batch.delete(key)
        return len(command_ids)

    def _get(self, key: bytes) -> bytes | None:
        try:
            return self._db.get(key)
        except Exception as error:
            raise self._unreadable(error) from error

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> LocalStateUnreadable:
        """Mark the contents, so that the next start throws them away. A block is checked only when it is needed."""
        (self._path / _UNREADABLE).touch()
        return LocalStateUnreadable(f"local state {self._path} is rebuilt from the log at the next start: {error}")

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def _opened(path: Path) -> tuple[Path, Rdict]:
    """Open the database, or, where it cannot be, an empty one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return path, _database(path)
    except Exception as error:  # noqa: BLE001 - RocksDB's errors have no types
        if str(path / "LOCK") in str(error):
            # A process of this slot still has it, stopped or about to be fenced: leave it its own.
            _LOG.warning("local state %s is in use, this process reads the log instead", path)
            path = path.with_name(f"{path.name}.{os.getpid()}")
        else:
            _LOG.warning("local state %s is rebuilt from the log: %s", path, error)
        shutil.rmtree(path, ignore_errors=True)
        return path, _database(path)


def _database(path: Path) -> Rdict:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(16 << 20)
    tables = BlockBasedOptions()
    # Most look-ups are of ids that are new: filters answer them without reading a block, or (2 µs to 0.5) the memtable.
    tables.set_bloom_filter(10, False)
    options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_memtable_whole_key_filtering(True)
    options.set_block_based_table_factory(tables)
    return Rdict(str(path), options)
