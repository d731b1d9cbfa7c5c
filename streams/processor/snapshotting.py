"""Snapshotting: a partition's owner writes what it knows to the snapshots topic, for one that has no local state.

A **run** takes a view of the local state, which is committed state only, and writes every aggregate that has changed
since the last marker, a slice at a time, between the commands; its last slice has the marker. Each slice is a
transaction of the processor's own producer that commits the partition's offset again, on behalf of the group member:
whoever lost the partition cannot write a late, older snapshot over a newer one.

Promises: a slice takes some ten milliseconds, and while commands come one after the other a twentieth of the time goes
to slices; a run that is cut short leaves the last marker in force, and is begun anew.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from schemas.position import Place
from streams.kernel.errors import StateNotExact
from streams.kernel.snapshots import MARKER_KEY, Marker, SnapshotCodec
from streams.processor.batch import Owned
from streams.processor.transactions import Record, Transactions

_LOG = logging.getLogger("kafold.processor")
SNAPSHOT_EVENTS = 100_000
SLICE_S = 0.01
SHARE = 0.05
PUT_OFF_S = 10.0


class Run:
    """What is being written of one partition: every aggregate that has changed before `marker`."""

    def __init__(self, place: Place, owned: Owned, codec: SnapshotCodec) -> None:
        """Take a view of what is known now."""
        self.place = place
        self.owned = owned
        self._codec = codec
        self._view = owned.memory.view()
        self.marker = Marker(owned.memory.position[_events(owned)], owned.memory.events)
        self.is_done = False

    def slice(self, until_s: float) -> Iterator[Record]:
        """Yield the next records; when it is done, the marker's was the last one.

        Raises:
            StateNotExact: an aggregate cannot be a snapshot.
        """
        for aggregate_id, known in self._view.changed():
            key = aggregate_id.encode()
            yield key, self._codec.encode(key, known, self.marker.before)
            if time.monotonic() > until_s:
                return
        if not self._view.is_read:
            raise RuntimeError(f"the view of {self.place} was closed before it was read")
        yield MARKER_KEY, self._codec.encode_marker(self.marker)
        self.is_done = True


class Snapshotting:
    """Writes the snapshots of one processor's partitions, one partition at a time."""

    def __init__(
        self, codecs: MutableMapping[str, SnapshotCodec], every: int, told: Callable[[str, int], None]
    ) -> None:
        """Begin with no run.

        Args:
            codecs: by the topic of commands; one is removed when a state turns out not to be exact.
            every: how far a partition's events go beyond the last marker before a run is begun.
            told: is told an aggregate type's name, and how many of its snapshots were committed.
        """
        self._codecs = codecs
        self._every = every
        self._told = told
        self._run: Run | None = None
        self._next_s = 0.0
        self._put_off_s = 0.0

    def is_due(self, owned: Mapping[Place, Owned], *, idle: bool) -> bool:
        """Whether there is a slice to write now. A run of a partition that is no longer owned is given up."""
        if self._run is not None and owned.get(self._run.place) is not self._run.owned:
            self._run = None
        if time.monotonic() < (self._put_off_s if idle else self._next_s):
            return False
        if self._run is None:
            self._begin(owned)
        return self._run is not None

    def _begin(self, owned: Mapping[Place, Owned]) -> None:
        """Begin a run of the partition that needs it most, if one does."""
        tails = {place: self._tail(each) for place, each in owned.items() if place[0] in self._codecs}
        place = max(tails, key=lambda each: tails[each], default=None)
        if place is not None and tails[place] >= self._every:
            self._run = Run(place, owned[place], self._codecs[place[0]])
        if len(tails) < len(owned):
            for other in owned.keys() - tails.keys():
                owned[other].memory.note_no_changes()

    def write(self, transactions: Transactions, group: Any) -> None:
        """Write the next slice, on behalf of the group member in `group`.

        Raises:
            Fenced, TransactionAborted, Indefinite: as the commit of a batch does.
        """
        run, began_s = self._run, time.monotonic()
        if run is None:
            return
        try:
            records = list(run.slice(began_s + SLICE_S))
        except StateNotExact as error:
            self._refuse(run, error)
            return
        # Unless it commits.
        self._run, self._next_s, self._put_off_s = None, began_s + PUT_OFF_S, began_s + PUT_OFF_S
        transactions.begin()
        transactions.produce(run.owned.lane.topics.snapshots, run.owned.partition, records)
        transactions.send_offsets({run.place: run.owned.next_offset}, group)
        transactions.commit()
        if run.is_done:
            run.owned.memory.mark(run.marker)
        else:
            self._run = run
        now_s = time.monotonic()
        self._next_s, self._put_off_s = now_s + (now_s - began_s) / SHARE, now_s
        self._told(run.owned.lane.aggregate.name, len(records) - run.is_done)

    @staticmethod
    def _tail(owned: Owned) -> int:
        """Return how many offsets of events lie beyond the marker."""
        marker = owned.memory.marker
        return owned.memory.position[_events(owned)] - (marker.before if marker else 0)

    def _refuse(self, run: Run, error: StateNotExact) -> None:
        """Go on without snapshots of an aggregate type."""
        _LOG.warning("%s; a processor without local state reads all of its events", error)
        self._run = None
        del self._codecs[run.place[0]]


def _events(owned: Owned) -> Place:
    return owned.lane.topics.events, owned.partition
