"""From snapshots: what a recovery without local state takes from the snapshots topic, before it reads the log's tail.

Records that are of no use (other code's, damaged ones) are passed over as if they were not there. What tells whether
anything is missing is a sum: each event raises one aggregate's version by one, so the versions of all snapshots are as
many as there were events before the marker, plus those after it that are in a snapshot already (its writer was stopped
before it could write the next marker).

Promises: a recovery that `adds_up` says yes to knows what the whole log would have told it.
"""

from confluent_kafka import Message

from schemas.position import Place
from streams.kernel.processing import Known
from streams.kernel.snapshots import MARKER_KEY, Marker, SnapshotCodec
from streams.processor.memory import PartitionMemory


class FromSnapshots:
    """The snapshots of one partition, read in order into a memory that is empty.

    `last`: the offset before which the newest of them was taken, beyond the marker's where a run was not finished.
    """

    def __init__(self, codec: SnapshotCodec, memory: PartitionMemory) -> None:
        """Begin with nothing read."""
        self._codec = codec
        self._memory = memory
        self._marker: Marker | None = None
        self._versions = 0
        self._passed = 0
        self.last = 0

    def take(self, record: Message) -> None:
        """Take a record of the snapshots topic."""
        key, value = record.key() or b"", record.value() or b""
        if key == MARKER_KEY:
            self._marker = self._codec.decode_marker(value)
            return
        snapshot = self._codec.decode(key, value)
        if snapshot is not None:
            aggregate_id = key.decode(errors="replace")
            before = self._memory.known(aggregate_id)
            self._versions += snapshot.known.version - (before.version if before else 0)
            self.last = max(self.last, snapshot.before)
            self._memory.load(aggregate_id, snapshot.known)

    def begin_at(self, events: Place, end: int) -> bool:
        """Begin at the marker, and return True; False: the whole log has to be read. `end`: that of the events."""
        marker = self._marker
        if marker is None or max(marker.before, self.last) > end or self._versions < marker.events:
            return False
        self._memory.begin_at(marker, events)
        return True

    def has(self, version: int, known: Known) -> bool:
        """Whether an event before `last` is in its aggregate's snapshot already, and so to be passed over."""
        is_there = version <= known.version
        self._passed += is_there
        return is_there

    def adds_up(self) -> bool:
        """Whether no snapshot is missing. Ask when every event is read that is in a snapshot."""
        return self._marker is not None and self._versions == self._marker.events + self._passed
