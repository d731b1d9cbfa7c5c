"""Reading: which partitions this worker owns, where each goes on, and a batch's way from the transport to its lane.

Promises: a partition begins at the database's smallest checkpoint, whatever Kafka's group offsets say; batches that
were fetched for an ownership that has ended are dropped, never applied.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas.position import Place
from streams.kernel.folding import ParkedKeys
from streams.postgres.checkpoints import JOURNAL, Reader, take
from streams.postgres.connection import Cursor, connect, connect_to_fold
from streams.postgres.parking import parked_keys, requested
from streams.worker.applying import Applier
from streams.worker.lanes import Lanes, OnError
from streams.worker.partition import Partition
from streams.worker.settling import settle
from streams.worker.source import Source


@dataclass(frozen=True, slots=True)
class Batch:
    """What was fetched of a partition at once, and the ownership that it was fetched for."""

    partition: Partition
    records: Sequence[Any]


class Reading:
    """The worker's side of reading. Its methods are called in the event loop."""

    def __init__(
        self, dsn: str, sources: Mapping[str, Source], topic_ids: Mapping[str, str], lanes: int, on_error: OnError
    ) -> None:
        """Take what to read and where to write; nothing is owned yet."""
        self.sources = sources
        self.lanes = Lanes(lanes, lambda: Applier(connect_to_fold(dsn, "worker"), sources.values()), on_error)
        self.partitions: dict[Place, Partition] = {}
        self.turned_at = time.monotonic()
        self._dsn = dsn
        self._topic_ids = topic_ids

    async def give_back(self) -> None:
        """End every ownership: what is being applied is finished, what waits is dropped."""
        for partition in self.partitions.values():
            partition.lost = True
        self.partitions = {}
        await self.lanes.drain()

    async def own(self, places: Collection[Place]) -> dict[Place, int]:
        """Begin to own these partitions and no others; return where each goes on."""
        await self.give_back()
        wanted = sorted(place for place in places if place[0] in self.sources)
        self.partitions = await asyncio.to_thread(self._take, wanted)
        return {place: partition.start for place, partition in self.partitions.items()}

    async def hand(self, batch: Batch) -> None:
        """Have a batch applied."""
        source, partition = self.sources[batch.partition.topic], batch.partition
        await self.lanes.put(partition, lambda applier: applier.apply(source, partition, batch.records))

    async def settle(self) -> None:
        """Carry out what was requested of parked events, on the partitions that this worker owns."""
        for place in await asyncio.to_thread(self._requested):
            partition = self.partitions.get(place)
            if partition is not None:
                await self.lanes.put(partition, partial(_settle, self.sources[partition.topic], partition))

    def turned(self) -> None:
        """Say that the transport's loop goes round."""
        self.turned_at = time.monotonic()

    def _requested(self) -> list[Place]:
        with connect(self._dsn, "worker requests") as connection:
            return requested(connection, next(iter(self.sources.values())).application)

    def _take(self, places: Sequence[Place]) -> dict[Place, Partition]:
        with (
            connect(self._dsn, "worker assignment") as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            return {place: self._partition(cursor, *place) for place in places}

    def _partition(self, cursor: Cursor, topic: str, number: int) -> Partition:
        source, topic_id = self.sources[topic], self._topic_ids[topic]
        starts = take(cursor, source.application, topic, number, topic_id, source.readers)
        return Partition(topic, number, topic_id, starts, _parked(cursor, source))


def _settle(source: Source, partition: Partition, applier: Applier) -> None:
    settle(applier.connection, source, partition)


def _parked(cursor: Cursor, source: Source) -> dict[Reader, ParkedKeys]:
    parked = {JOURNAL: parked_keys(cursor, source.application, JOURNAL, None)}
    for each in source.projections:
        parked[each.reader] = parked_keys(cursor, source.application, each.reader, each.table.shape)
    return parked
