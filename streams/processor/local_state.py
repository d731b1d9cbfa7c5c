"""Local state: what a partition's owner knows, kept on its disk (RocksDB), so that a restart reads only the log's tail.

It is a cache of the log and never the truth. It is stamped with what it was made by (the fingerprint of the folding
code and the topics' UUIDs) and with the position that it covers; anything missing, stale or corrupt is thrown away
and rebuilt from the log.

It also notes which aggregates have changed since the last marker (see `snapshotting`), so that a restart goes on there.

Promises: states, outcomes and their position are written together or not at all; states without a position (an
unfinished recovery's) are never used; an outcome is found for the dedupe window, by its recorded time, and removed
after it.
"""

import json
import logging
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from rocksdict import BlockBasedOptions, Options, Rdict, Snapshot, WriteBatch

from schemas.position import Place
from streams.kernel.errors import LocalStateUnreadable
from streams.kernel.processing import Known
from streams.kernel.snapshots import Marker
from streams.processor.seal import Files, Seal, Sealer, files_of, holds

_LOG = logging.getLogger("kafold.processor")
_TIME = struct.Struct(">Q")
_COUNT = struct.Struct(">Q")
_STAMP, _STATE, _OUTCOME, _BY_TIME = b"m", b"s", b"o", b"t"
_CHANGED, _MARKER = b"c", b"k"
_UNREADABLE = "UNREADABLE"
FORMAT = 4
BUCKET_MS = 600_000
EXPIRED_MAX = 100_000


class Remembered(NamedTuple):
    """A final outcome: when it was given, and its record."""

    time_ms: int
    encoded: bytes


class LocalState:
    """The RocksDB of one commands partition. `stamp`: what must be equal for the contents to be of use.

    `events`: how many events it is the fold of. `marker`: up to where everything is in snapshots; None: not known.
    Its methods raise LocalStateUnreadable when RocksDB finds damage that was not seen at the start.
    """

    def __init__(self, path: Path, stamp: Mapping[str, str], snapshots: str | None = None) -> None:
        """Open it; contents of another stamp, or that cannot be read, are thrown away.

        `snapshots`: the UUID of the topic of which `marker` is kept; None: no changes are noted.
        """
        self._stamp = {**stamp, "format": str(FORMAT)}
        self._snapshots = snapshots
        found = files_of(path)
        self._path, self._db = _opened(path)
        self._sealer = Sealer(self._path)
        self._view: View | None = None
        self._forget_all()
        try:
            self._read_position(found)
            self._read_marker()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the log has it all
            _LOG.warning("local state %s is rebuilt from the log: %s", path, error)
            self.clear()

    def _forget_all(self) -> None:
        self.position: dict[Place, int] = {}
        self.events = 0
        self.marker: Marker | None = None

    def _read_position(self, files: Files | None) -> None:
        if (self._path / _UNREADABLE).exists():
            raise ValueError("it could not be read")
        stored = self._db.get(_STAMP)
        if stored is None:
            if next(iter(self._db.keys()), None) is not None:
                raise ValueError("it is that of an unfinished recovery")
            return
        found = json.loads(stored)
        if found["stamp"] != self._stamp:
            raise ValueError("it was made by other code, or from other topics")
        if files is None or not holds(Seal(*found["seal"]), files):
            raise ValueError("its files are not whole")
        self.position = {(topic, partition): offset for topic, partition, offset in found["position"]}
        self.events = found["events"]

    def _read_marker(self) -> None:
        stored = self._db.get(_MARKER)
        if self._snapshots is None:
            self._drop_marker()
        elif stored is not None:
            topic_id, before, events = json.loads(stored)
            self.marker = Marker(before, events) if topic_id == self._snapshots else None

    def clear(self) -> None:
        """Throw the contents away."""
        self.close()
        shutil.rmtree(self._path)
        self._db = _database(self._path)
        self._sealer = Sealer(self._path)
        self._forget_all()

    def known(self, aggregate_id: str) -> Known | None:
        """Return what is known of an aggregate."""
        stored = self._get(_STATE + aggregate_id.encode())
        return None if stored is None else _known(stored)

    def outcome(self, command_id: str) -> Remembered | None:
        """Return the final outcome of a command."""
        stored = self._get(_OUTCOME + command_id.encode())
        return None if stored is None else Remembered(_TIME.unpack_from(stored)[0], stored[_TIME.size :])

    def write(
        self,
        known: Mapping[str, Known],
        outcomes: Mapping[str, Remembered],
        position: Mapping[Place, int] | None,
        events: int = 0,
    ) -> None:
        """Write what has changed, with the position that it covers, in one step; None: nothing is to be relied on yet.

        `events`: how many there were before the position.
        """
        batch = WriteBatch(raw_mode=True)
        _put_states(batch, known)
        if known and self._snapshots is not None:
            batch.put(_CHANGED + _COUNT.pack(events), orjson.dumps(list(known)))
        pack, buckets = _TIME.pack, dict[int, list[str]]()
        for command_id, (time_ms, encoded) in outcomes.items():
            batch.put(_OUTCOME + command_id.encode(), pack(time_ms) + encoded)
            buckets.setdefault(time_ms // BUCKET_MS, []).append(command_id)
        for bucket, command_ids in buckets.items():
            # One entry for all of a bucket's ids in this write: an entry for each costs as much as the outcomes.
            batch.put(_BY_TIME + pack((bucket + 1) * BUCKET_MS) + command_ids[0].encode(), orjson.dumps(command_ids))
        with self._noticed():
            if position is not None:
                batch.put(_STAMP, self._stamped(position, events))
            self._db.write(batch)
        if position is not None:
            self.position, self.events = dict(position), events

    def _stamped(self, position: Mapping[Place, int], events: int) -> bytes:
        places = [[topic, partition, offset] for (topic, partition), offset in position.items()]
        told = {"stamp": self._stamp, "position": places, "events": events, "seal": self._sealer.seal()}
        return json.dumps(told).encode()

    def load(self, known: Mapping[str, Known]) -> None:
        """Write what snapshots say. It is no change, and of no use until a position is written."""
        batch = WriteBatch(raw_mode=True)
        _put_states(batch, known)
        with self._noticed():
            self._db.write(batch)

    def view(self) -> "View":
        """Return the states and the notes as they are now, whatever is written later; it is good until the next one."""
        self._close_view()
        self._view = View(self._db.snapshot(), self.marker is None, self._noticed)
        return self._view

    def _close_view(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None

    def mark(self, marker: Marker) -> None:
        """Note that everything before the marker is in snapshots."""
        batch = WriteBatch(raw_mode=True)
        batch.put(_MARKER, json.dumps([self._snapshots, *marker]).encode())
        with self._noticed():
            self._drop_notes(batch, marker.events)
            self._db.write(batch)
        self.marker = marker

    def note_no_changes(self) -> None:
        """Note from now on no changes, because nobody takes snapshots."""
        if self._snapshots is not None:
            self._snapshots = None
            self._drop_marker()

    def _drop_marker(self) -> None:
        batch = WriteBatch(raw_mode=True)
        with self._noticed():
            if self._db.get(_MARKER) is not None:
                batch.delete(_MARKER)
            self._drop_notes(batch, None)
            if not batch.is_empty():
                self._db.write(batch)
        self.marker = None

    def _drop_notes(self, batch: WriteBatch, events: int | None) -> None:
        keys: Any = self._db.keys(from_key=_CHANGED)
        for key in keys:
            if not key.startswith(_CHANGED) or (events is not None and key > _CHANGED + _COUNT.pack(events)):
                break
            batch.delete(key)

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
        self._close_view()  # it keeps the database open
        self._db.close()


class View:
    """A local state as it was at a moment. `is_read`: whether `changed` has come to its end."""

    def __init__(
        self, database: Snapshot, everything: bool, noticed: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """`everything`: whether all aggregates count as changed. `noticed`: what sees to damage."""
        self._noticed = noticed
        self.is_read = False
        self._changed = self._found(database, everything)

    def changed(self) -> Iterator[tuple[str, Known]]:
        """Yield each aggregate that has changed since the marker, once, and what is known of it."""
        return self._changed

    def close(self) -> None:
        """Let go of the database."""
        self._changed.close()

    def _found(self, database: Snapshot, everything: bool) -> Generator[tuple[str, Known]]:
        with self._noticed():
            yield from _states(database) if everything else _changed_states(database)
        self.is_read = True


def _states(database: Snapshot) -> Iterator[tuple[str, Known]]:
    entries: Any = database.items(from_key=_STATE)
    for key, stored in entries:
        if not key.startswith(_STATE):
            return
        yield key[len(_STATE) :].decode(), _known(stored)


def _changed_states(database: Snapshot) -> Iterator[tuple[str, Known]]:
    noted: set[str] = set()
    entries: Any = database.items(from_key=_CHANGED)
    for key, aggregate_ids in entries:
        if not key.startswith(_CHANGED):
            break
        noted.update(orjson.loads(aggregate_ids))
    for aggregate_id in noted:
        yield aggregate_id, _known(database[_STATE + aggregate_id.encode()])


def _put_states(batch: WriteBatch, known: Mapping[str, Known]) -> None:
    for aggregate_id, each in known.items():
        batch.put(_STATE + aggregate_id.encode(), pickle.dumps(tuple(each), pickle.HIGHEST_PROTOCOL))


def _known(stored: Any) -> Known:
    return Known(*pickle.loads(stored))  # noqa: S301 - our own file, under our own stamp


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
