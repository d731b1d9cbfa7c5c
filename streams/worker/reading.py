"""Reading: which partitions this worker owns, where each goes on, and a batch's way from the transport to its lane.

Promises: a partition begins at the database's smallest checkpoint, whatever Kafka's group offsets say; batches that
were fetched for an ownership that has ended are dropped, never applied.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.position import Place
from streams.postgres.checkpoints import Reader, stopped, take
from streams.postgres.connection import Connection, Cursor, connect
from streams.postgres.outbox import unsent_places
from streams.postgres.parking import requested
from streams.postgres.versions import unfolded
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


class Reading:
    """The worker's side of reading. Its methods are called in the event loop."""

    def __init__(
        self,
        dsn: str,
        application: str,
        duties: Sequence[Duty],
        topic_ids: Mapping[str, str],
        passing: Collection[str] = (),
    ) -> None:
        """Take what is to be done with which topics. `passing`: topics not kept for ever."""
        self.passing = passing
        self.duties = duties
        self.partitions: dict[Place, Owned] = {}
        self.turned_at = time.monotonic()
        self.joined = False
        self.handed: dict[Place, int] = {}
        # Whether to take the partitions anew: versions came or went, or a reader that had to stop may go on.
        self.outdated = False
        self._unfolded: frozenset[Reader] = frozenset()
        self._assignments = 0
        self._looked_at = time.monotonic()
        self._dsn = dsn
        self._application = application
        self._topic_ids = topic_ids

    async def give_back(self) -> None:
        """End every ownership: what is being applied is finished, what waits is dropped."""
        for owned in self.partitions.values():
            for partition in owned.values():
                partition.lost = True
        self.partitions = {}
        for duty in self.duties:
            await duty.lanes.drain()

    async def own(self, places: Collection[Place]) -> dict[Place, int]:
        """Begin to own these partitions and no others; return where each goes on."""
        await self.give_back()
        wanted = sorted(place for place in places if any(place[0] in duty.readers for duty in self.duties))
        self.handed = {}
        self.outdated = False
        self._assignments += 1
        self.partitions = await asyncio.to_thread(self._take, wanted)
        self.joined = True
        return {place: min(each.start for each in owned.values()) for place, owned in self.partitions.items()}

    async def look(self) -> None:
        """See whether the partitions have to be taken anew: once a second, oftener while a reader is held."""
        held = {
            (reader, place)
            for place, owned in self.partitions.items()
            for partition in owned.values()
            for reader in partition.held
        }
        if any(partition.lost for owned in self.partitions.values() for partition in owned.values()):
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

    def turned(self) -> None:
        """Say that the transport's loop goes round, or that there was room for a batch that it waits to hand over."""
        self.turned_at = time.monotonic()

    def busy_s(self) -> float:
        """Return for how long the slowest lane has been at its batch."""
        return max(duty.lanes.busy_s() for duty in self.duties)

    def close(self) -> None:
        """Wait for what is being applied, and close the connections."""
        for duty in self.duties:
            duty.lanes.close()

    def _requested(self) -> list[Place]:
        with connect(self._dsn, "worker requests") as connection:
            wanted = {*requested(connection, self._application), *unsent_places(connection, self._application)}
        return sorted(wanted)

    def _is_outdated(self, held: Collection[tuple[Reader, Place]]) -> bool:
        with connect(self._dsn, "worker versions") as connection:
            if self._waiting(connection) != self._unfolded:
                return True
            return bool(held) and not stopped(connection, self._application).issuperset(held)

    def _waiting(self, connection: Connection | Cursor) -> frozenset[Reader]:
        """Return which of the readers are not folded now."""
        mine = {reader for duty in self.duties for readers in duty.readers.values() for reader in readers}
        return unfolded(connection, self._application) & mine

    def _take(self, places: Sequence[Place]) -> dict[Place, Owned]:
        with (
            connect(self._dsn, "worker assignment") as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            self._unfolded = self._waiting(cursor)
            taken = {
                place: {
                    duty.name: self._partition(cursor, duty, *place)
                    for duty in self.duties
                    if not self._unfolded.issuperset(duty.readers.get(place[0], ()))
                }
                for place in places
            }
        return {place: owned for place, owned in taken.items() if owned}

    def _partition(self, cursor: Cursor, duty: Duty, topic: str, number: int) -> Partition:
        topic_id = self._topic_ids[topic]
        readers = [reader for reader in duty.readers[topic] if reader not in self._unfolded]
        starts = take(cursor, self._application, topic, number, topic_id, readers)
        return Partition(topic, number, topic_id, starts, duty.parked(cursor, topic), self._assignments)
