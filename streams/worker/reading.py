"""Reading: which partitions this worker owns, where each goes on, and a batch's way from the transport to its lane.

Readers of a partition that are far behind are **apart** (`catching_up.py`), until all of them are near its end.

Promises: a partition begins at the database's smallest checkpoint, whatever Kafka's group offsets say; batches that
were fetched for an ownership that has ended are dropped, never applied.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.position import Place
from streams.postgres.checkpoints import Reader, standing, stopped, take
from streams.postgres.connection import Connection, Cursor, connect, repeated
from streams.postgres.kept import KeptConnection
from streams.postgres.outbox import unsent_places
from streams.postgres.parking import requested
from streams.postgres.versions import unfolded
from streams.worker.catching_up import CatchUp
from streams.worker.duty import Duty
from streams.worker.partition import Partition

LOOK_S = 1.0
Owned = Mapping[str, Partition]
"""One partition of the log, by the names of the duties that read it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was fetched of a partition at once, and the ownership that it was fetched for."""

    owned: Owned
    records: Sequence[Any]


class Fetched(NamedTuple):
    """How far the consumer is in a partition, and where that ends, as of the last fetch."""

    position: int
    end: int


Fetching = Callable[[Iterable[Place]], Mapping[Place, Fetched]]


class Reading:
    """The worker's side of reading. Its methods are called in the event loop."""

    def __init__(
        self,
        dsn: str,
        application: str,
        duties: Sequence[Duty],
        topic_ids: Mapping[str, str],
        catch_up: CatchUp,
        passing: Collection[str] = (),
    ) -> None:
        """Take what is to be done with which topics. `passing`: topics not kept for ever."""
        self.passing = passing
        self.duties = duties
        self.partitions: dict[Place, Owned] = {}
        self.apart: dict[Place, Partition] = {}
        self.ends: Mapping[Place, int] = {}
        # Tells how far the consumer is, once there is one.
        self.fetching: Fetching = lambda _places: {}
        self.turned_at = time.monotonic()
        self.joined = False
        self.handed: dict[Place, int] = {}
        # Whether to take the partitions anew: versions came or went, or a reader that had to stop may go on.
        self.outdated = False
        self._unfolded: frozenset[Reader] = frozenset()
        self._assignments = 0
        self._looked_at = time.monotonic()
        self._catch_up = catch_up
        self._dsn = dsn
        self._looks = KeptConnection(dsn, "worker looks")
        self._application = application
        self._topic_ids = topic_ids

    async def give_back(self) -> None:
        """End every ownership: what is being applied is finished, what waits is dropped."""
        self._assignments += 1
        for partition in self._all():
            partition.lost = True
        self.partitions, self.apart = {}, {}
        await self._catch_up.end()
        for duty in self.duties:
            await duty.lanes.drain()

    async def own(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        """Begin to own these partitions and no others, which end there now; return from where each is to be fetched."""
        assignment = self._assignments + 1
        await self.give_back()
        wanted = sorted(place for place in ends if any(place[0] in duty.readers for duty in self.duties))
        self.handed = {}
        self.outdated = False
        self.ends = ends
        taken = await asyncio.to_thread(self._take, wanted)
        if assignment != self._assignments:
            return {}  # they were taken away meanwhile
        self.partitions, self.apart = taken
        self.joined = True
        # Where all readers are apart, what is fetched finds nobody: only what is new should be.
        return {
            place: min((each.start for each in self.partitions.get(place, {}).values()), default=ends[place])
            for place in {**self.partitions, **self.apart}
        }

    def starts(self) -> dict[Place, int]:
        """Return where each partition is read from, by whoever is the farthest behind."""
        starts: dict[Place, int] = {}
        for each in self._all():
            starts[each.place] = min(each.start, starts.get(each.place, each.start))
        return starts

    def catch_up_begins(self) -> None:
        """Have those caught up that are apart."""
        if self.apart:
            [duty] = [each for each in self.duties if each.in_bulk]
            self._catch_up.begin(duty, [*self.apart.values()])

    async def look(self) -> None:
        """See whether the partitions have to be taken anew: once a second, oftener while a reader is held."""
        held = {(reader, place) for place, owned in self.partitions.items() for each in owned.values()
                for reader in each.held}  # fmt: skip
        if any(each.lost for each in self._all()) or self._is_parting():
            self.outdated = True
        elif held or time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            self.outdated = await asyncio.to_thread(self._is_outdated, held) or self.outdated

    async def hand(self, duty: Duty, batch: Batch) -> None:
        """Have a batch applied by a duty, if it reads the topic."""
        partition = batch.owned.get(duty.name)
        if partition is not None:
            await duty.hand(partition, batch.records)
            self.turned()

    async def settle(self) -> None:
        """Have settled what is asked for or was left unsent, on the partitions that this worker owns."""
        for place in await asyncio.to_thread(self._requested):
            owned = self.partitions.get(place, {})
            for duty in self.duties:
                if duty.name in owned:
                    await duty.settle(owned[duty.name])
            self._catch_up.settle(place)

    def turned(self) -> None:
        """Say that the transport's loop goes round, or that there was room for a batch that it waits to hand over."""
        self.turned_at = time.monotonic()

    def busy_s(self) -> float:
        """Return for how long the slowest lane has been at its batch."""
        return max(self._catch_up.busy_s(), *(duty.lanes.busy_s() for duty in self.duties))

    def close(self) -> None:
        """Wait for what is being applied, and close the connections."""
        self._catch_up.close()
        self._looks.close()
        for duty in self.duties:
            duty.lanes.close()

    def _all(self) -> list[Partition]:
        return [*(each for owned in self.partitions.values() for each in owned.values()), *self.apart.values()]

    def _is_parting(self) -> bool:
        """Return whether some who are apart may come back, or have come to where they stop, or some fall far behind."""
        if self._catch_up.is_done or any(each.held for each in self.apart.values()):
            return True
        names = {duty.name for duty in self.duties if duty.in_bulk}
        fetched = self.fetching(self.partitions)
        return any(
            self._catch_up.is_far(place, at, fetched[place].end)
            for place, owned in self.partitions.items()
            for name, each in owned.items()
            for reader, at in each.next.items()
            if name in names and place in fetched and reader not in each.held
        )

    def _requested(self) -> list[Place]:
        def ask(connection: Connection) -> set[Place]:
            return {*requested(connection, self._application), *unsent_places(connection, self._application)}

        return sorted(self._looks.ask(ask))

    def _is_outdated(self, held: Collection[tuple[Reader, Place]]) -> bool:
        def ask(connection: Connection) -> bool:
            if self._waiting(connection) != self._unfolded:
                return True
            return bool(held) and not stopped(connection, self._application).issuperset(held)

        return self._looks.ask(ask)

    def _waiting(self, connection: Connection | Cursor) -> frozenset[Reader]:
        """Return which of the readers are not folded now."""
        mine = {reader for duty in self.duties for readers in duty.readers.values() for reader in readers}
        return unfolded(connection, self._application) & mine

    def _take(self, places: Sequence[Place]) -> tuple[dict[Place, Owned], dict[Place, Partition]]:
        with connect(self._dsn, "worker assignment") as connection:
            # Whoever had the partitions before may be frozen, in the middle of a statement.
            return repeated(connection, lambda: self._taken(connection, places))

    def _taken(
        self, connection: Connection, places: Sequence[Place]
    ) -> tuple[dict[Place, Owned], dict[Place, Partition]]:
        near: dict[Place, dict[str, Partition]] = {place: {} for place in places}
        apart: dict[Place, Partition] = {}
        with connection.transaction(), connection.cursor() as cursor:
            self._unfolded = self._waiting(cursor)
            held = standing(cursor, self._application)
            for place in places:
                for duty in self.duties:
                    starts = self._starts(cursor, duty, place)
                    far = {
                        reader: at for reader, at in starts.items() if self._goes_apart(duty, reader, place, at, held)
                    }
                    if far:
                        apart[place] = self._partition(cursor, duty, place, far, held)
                    if starts.keys() - far:
                        rest = {reader: at for reader, at in starts.items() if reader not in far}
                        near[place][duty.name] = self._partition(cursor, duty, place, rest, held)
        return {place: owned for place, owned in near.items() if owned}, apart

    def _starts(self, cursor: Cursor, duty: Duty, place: Place) -> dict[Reader, int]:
        readers = [reader for reader in duty.readers.get(place[0], ()) if reader not in self._unfolded]
        return take(cursor, self._application, *place, self._topic_ids[place[0]], readers)

    def _goes_apart(
        self, duty: Duty, reader: Reader, place: Place, at: int, held: Collection[tuple[Reader, Place]]
    ) -> bool:
        far = duty.in_bulk and self._catch_up.is_far(place, at, self.ends[place])
        return far and (reader, place) not in held

    def _partition(
        self,
        cursor: Cursor,
        duty: Duty,
        place: Place,
        starts: dict[Reader, int],
        held: Collection[tuple[Reader, Place]],
    ) -> Partition:
        parked = duty.parked(cursor, place[0])
        waiting = {reader for reader in starts if (reader, place) in held}
        return Partition(*place, self._topic_ids[place[0]], starts, parked, self._assignments, held=waiting)
