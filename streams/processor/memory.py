"""The memory of one partition: what its owner knows from the committed log.

What was used lately is in memory, everything is in the local state; changes are written there every few seconds, as
one step with the position that they cover.

While it is **provisional**, made of snapshots that have not yet added up, its position is not written, so that no
restart relies on it.

Promises: it changes only by what was committed, either read back from the log or just committed by this owner; it
holds at most 200,000 aggregates and as many outcomes (two generations of half of that), and what changed since the
last write.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

from schemas.position import Place
from streams.kernel.processing import Known, Work
from streams.kernel.snapshots import Marker
from streams.processor.local_state import LocalState, Remembered, View

V = TypeVar("V")
GENERATION_MAX = 100_000
UNWRITTEN_MAX = 50_000


class Generations(Generic[V]):
    """A cache of two generations: what the younger lacks it takes over from the older, which is then dropped."""

    def __init__(self, limit: int = GENERATION_MAX) -> None:
        """`limit`: entries in one generation."""
        self._limit = limit
        self._young: dict[str, V] = {}
        self._old: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        """Return an entry, and keep it for longer."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self._young[key] = found
        return found

    def update(self, entries: Mapping[str, V]) -> None:
        """Take entries over."""
        self._young.update(entries)

    def age(self) -> None:
        """Let go of the older generation if the younger one is full."""
        if len(self._young) > self._limit:
            self._old, self._young = self._young, {}


class PartitionMemory:
    """Aggregates' states and versions, and the final outcomes by command id. It implements the kernel's Memory.

    `events`: how many events it is the fold of.
    """

    def __init__(self, local: LocalState, dedupe_window_ms: int) -> None:
        """Go on from what the local state has."""
        self._local = local
        self._window_ms = dedupe_window_ms
        self._expired_ms = 0
        self._known: Generations[Known] = Generations()
        self._outcomes: Generations[Remembered] = Generations()
        self._new_known: dict[str, Known] = {}
        self._new_outcomes: dict[str, Remembered] = {}
        self._loaded: dict[str, Known] = {}
        self._provisional = False
        self.position: dict[Place, int] = dict(local.position)
        self.events = local.events

    def known(self, aggregate_id: str) -> Known | None:
        """Return what is known of an aggregate; None: it has no events."""
        found = self._new_known.get(aggregate_id) or self._known.get(aggregate_id)
        if found is None and self._loaded:
            found = self._loaded.get(aggregate_id)
        if found is None:
            found = self._local.known(aggregate_id)
            if found is not None:
                self._known.update({aggregate_id: found})
        return found

    def outcome(self, command_id: str) -> bytes | None:
        """Return the encoded final outcome of a command; None: never decided, failed, or longer ago than the window."""
        found = self._new_outcomes.get(command_id) or self._outcomes.get(command_id) or self._local.outcome(command_id)
        if found is None:
            return None
        time_ms, encoded = found
        return None if time_ms < self._expired_ms else encoded

    def learn(self, aggregate_id: str, known: Known) -> None:
        """Take over what an event in the log says."""
        self._new_known[aggregate_id] = known
        self.events += 1

    def load(self, aggregate_id: str, known: Known) -> None:
        """Take over what a snapshot says; from now on the memory is provisional."""
        self._provisional = True
        self._loaded[aggregate_id] = known
        if len(self._loaded) > UNWRITTEN_MAX:
            self._write_loaded()

    def begin_at(self, marker: Marker, place: Place) -> None:
        """Count everything before the marker, on the partition of events, as loaded."""
        self._write_loaded()
        self._provisional = True
        self.position[place], self.events = marker.before, marker.events
        self._local.mark(marker)

    def adds_up(self) -> None:
        """Say that what was loaded is complete."""
        self._provisional = False

    def _write_loaded(self) -> None:
        self._local.load(self._loaded)
        self._known.update(self._loaded)
        self._known.age()
        self._loaded = {}

    def learn_outcome(self, command_id: str, time_ms: int, encoded: bytes) -> None:
        """Take over an outcome in the log."""
        self._new_outcomes[command_id] = Remembered(time_ms, encoded)

    def commit(
        self, work: Work, outcomes: Mapping[str, Remembered], position: Mapping[Place, int], events: int
    ) -> None:
        """Take over a work whose transaction has committed, with its final outcomes by command id.

        `events`: how many it has.
        """
        self._new_known.update(work.known)
        self._new_outcomes.update(outcomes)
        self.position.update(position)
        self.events += events

    def advance(self, now_ms: int) -> None:
        """Let outcomes older than the window count as unknown from now on."""
        self._expired_ms = now_ms - self._window_ms

    @property
    def is_full(self) -> bool:
        """Whether so much has changed since the last write that it should be written now."""
        return len(self._new_known) + len(self._new_outcomes) > UNWRITTEN_MAX

    def write(self) -> None:
        """Write what has changed to the local state, and let go of what was not used for long."""
        if self.position != self._local.position:
            position = None if self._provisional else self.position
            self._local.write(self._new_known, self._new_outcomes, position, self.events)
            self._known.update(self._new_known)
            self._outcomes.update(self._new_outcomes)
            self._new_known, self._new_outcomes = {}, {}
        self._known.age()
        self._outcomes.age()
        self._local.expire(self._expired_ms)

    def view(self) -> View:
        """Return everything as it is now, whatever is committed later. Written before it is looked at."""
        self.write()
        return self._local.view()

    @property
    def marker(self) -> Marker | None:
        """Up to where everything is in snapshots; None: not known."""
        return self._local.marker

    def mark(self, marker: Marker) -> None:
        """Note that everything before the marker is in snapshots."""
        self._local.mark(marker)

    def note_no_changes(self) -> None:
        """Note from now on no changes, because nobody takes snapshots."""
        self._local.note_no_changes()

    def forget(self) -> None:
        """Forget everything: the log, or the snapshots, that it was read from are not what they seemed."""
        self._local.clear()
        self._known, self._outcomes = Generations(), Generations()
        self._new_known, self._new_outcomes, self._loaded = {}, {}, {}
        self._provisional = False
        self.position, self.events = {}, 0

    def close(self) -> None:
        """Write what has changed, and close the local state."""
        self.write()
        self._local.close()
