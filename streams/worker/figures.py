"""The worker's figures: an agent that counts what the partitions of this worker have, in a windowed Faust table.

The table's store is memory, and it has no changelog: the log is the changelog. What was counted of a partition is kept
in PostgreSQL with the next offset to count, every few seconds and when the partition is given back, and its next owner
goes on there. Faust's own way would be a record for each change, and a recovery that holds up every assignment.

Promises: a record is counted once, by whoever owns its partition. The exact path never waits for more than the counting
of a batch, and what goes wrong here is only logged. After a kill at most `RECOUNTED_MAX` records of a partition are
read again; if it was more that had not been kept, the rest is not in the figures.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import faust
from faust.types import AppT

from schemas.avro_foreign import full_name
from schemas.errors import DecodingError
from schemas.position import Place
from schemas.registry import SchemaIds
from schemas.wire import HEADER_BYTES, schema_id_of
from schemas.written import written_record
from streams.kernel.application import Application
from streams.postgres.connection import connect
from streams.postgres.figures import Kept, keep, take
from streams.watching.figures import (
    KEPT_S,
    MINUTE_S,
    UNREADABLE,
    Counted,
    Kind,
    Tally,
    facts,
    recent,
    tally_answers,
    tally_events,
)
from streams.watching.metrics import Metrics
from streams.watching.server import JSON, Page

_LOG = logging.getLogger("kafold.worker")
TABLE = "figures"
KEEP_S = 5.0
GIVE_BACK_S_MAX = 2.0

Counting = Callable[[Sequence[Any]], Tally]
_COUNTERS = {
    Kind.COMMANDS: ("commands_total", True),
    Kind.REJECTIONS: ("rejections_total", True),
    Kind.EVENTS: ("events_total", False),
}


class FiguresTable(faust.Table[Any, int]):
    """A windowed Faust table that nothing has to be recovered for. Its keys begin with topic and partition."""

    async def on_start(self) -> None:
        """Start the store; there is no changelog topic to declare."""
        await self.add_runtime_dependency(cast("Any", self.data))

    def on_key_set(self, key: Any, value: int) -> None:  # noqa: ARG002  (Faust passes it)
        """Have the window end when it is old. Faust would send a record to the changelog, too."""
        self._maybe_set_key_ttl(key, key[0][1])

    def on_key_del(self, key: Any) -> None:
        """Forget when it would have ended."""
        self._maybe_del_key_ttl(key, key[0][1])


@dataclass(slots=True)
class _Owned:
    """How far a partition is counted, and kept."""

    next: int
    kept: int


class Figures:
    """The figures of one worker. Its methods are called in the event loop."""

    def __init__(
        self,
        dsn: str,
        application: str,
        countings: Mapping[str, Counting],
        topic_ids: Mapping[str, str],
        metrics: Metrics,
    ) -> None:
        """Take how each topic is counted, and the counters that go on counting when a window has ended."""
        self._dsn = dsn
        self._application = application
        self._countings = countings
        self._topic_ids = topic_ids
        self._metrics = metrics
        self._known: set[bytes] = set()
        self._owned: dict[Place, _Owned] = {}
        self._owner = ""
        self._table: Any = None
        self._windows: Any = None

    @property
    def topics(self) -> Collection[str]:
        """What is counted."""
        return self._countings.keys()

    def attach(self, app: AppT) -> None:
        """Make the table, as a service of the Faust application."""
        self._table = FiguresTable(app, name=TABLE, default=int)
        self._windows = self._table.tumbling(MINUTE_S, expires=KEPT_S)
        cast("Any", app).service(self._table)

    async def own(self, places: Collection[Place], since: Mapping[Place, int]) -> dict[Place, int]:
        """Begin to count these partitions and no others; return where each goes on, no earlier than `since`."""
        await self.give_back()
        self._owner = str(uuid.uuid4())
        wanted = {place: self._topic_ids[place[0]] for place in sorted(places)}
        for place, found in (await asyncio.to_thread(self._take, wanted)).items():
            begin = max(found.next, since.get(place, 0))
            self._owned[place] = _Owned(begin, begin)
            counted = {(minute, Counted(*what)): number for minute, *what, number in found.counted}
            self._add(place, recent(counted, time.time()))
        return {place: owned.next for place, owned in self._owned.items()}

    async def count(self, place: Place, records: Sequence[Any]) -> None:
        """Count the next records of a partition, if it is owned."""
        owned = self._owned.get(place)
        if owned is None:
            return
        fresh = records if records[0].offset >= owned.next else [each for each in records if each.offset >= owned.next]
        if fresh:
            tally = recent(await self._tally(place[0], fresh), time.time())
            if self._owned.get(place) is owned:
                owned.next = fresh[-1].offset + 1
                self._add(place, tally)
                self._tell(tally)

    async def keep(self) -> None:
        """Keep what has been counted since the last time."""
        moved = {place: owned for place, owned in self._owned.items() if owned.next != owned.kept}
        if moved:
            counted = self._counted(moved)
            kept = {place: Kept(owned.next, counted[place]) for place, owned in moved.items()}
            await asyncio.to_thread(self._keep, self._owner, kept)
            for place, owned in moved.items():
                owned.kept = kept[place].next

    async def give_back(self) -> None:
        """Keep what was counted, and stop counting. It must not take long."""
        try:
            await asyncio.wait_for(self.keep(), GIVE_BACK_S_MAX)
        except Exception as error:  # noqa: BLE001 - figures never hold up the exact path
            _LOG.warning("the figures of the last %g s are lost: %s: %s", KEEP_S, type(error).__name__, error)
        self._owned = {}
        for key in list(self._table):
            del self._table[key]

    def tally(self) -> Tally:
        """Return the figures of what is owned, summed over partitions."""
        sums: dict[tuple[int, Counted], int] = {}
        for ((_, _, *what), (start, _)), number in self._table.items():
            key = int(start), Counted(*what)
            sums[key] = sums.get(key, 0) + number
        return recent(sums, time.time())

    def page(self) -> Page:
        """Return the figures as the web has them."""
        found = {"window_s": MINUTE_S, "kept_s": KEPT_S, "figures": facts(self.tally())}
        return Page(HTTPStatus.OK, JSON, json.dumps(found).encode())

    async def _tally(self, topic: str, records: Sequence[Any]) -> Tally:
        counting = self._countings[topic]
        headers = {record.value[:HEADER_BYTES] for record in records if record.value}
        if headers <= self._known:
            return counting(records)
        self._known |= headers
        return await asyncio.to_thread(counting, records)  # the registry may have to be asked

    def _add(self, place: Place, tally: Tally) -> None:
        for (minute, what), number in tally.items():
            self._windows.relative_to(float(minute))[(*place, *what)] += number

    def _tell(self, tally: Tally) -> None:
        for (_, what), number in tally.items():
            name, detailed = _COUNTERS[Kind(what.kind)]
            self._metrics.count(name, number, what.type, *([what.detail] if detailed else []))

    def _counted(self, places: Collection[Place]) -> dict[Place, list[tuple[int, str, str, str, int]]]:
        found: dict[Place, list[tuple[int, str, str, str, int]]] = {place: [] for place in places}
        for ((topic, number, *what), (start, _)), count in self._table.items():
            if (topic, number) in found:
                found[topic, number].append((int(start), *what, count))
        return found

    def _take(self, places: Mapping[Place, str]) -> dict[Place, Kept]:
        with connect(self._dsn, "worker figures") as connection:
            return take(connection, self._application, self._owner, places)

    def _keep(self, owner: str, kept: Mapping[Place, Kept]) -> None:
        with connect(self._dsn, "worker figures") as connection:
            keep(connection, self._application, owner, kept)


def countings(application: Application, ids: SchemaIds) -> dict[str, Counting]:
    """Return how each topic of an application is counted: its events, and the answers to its commands."""
    made: dict[str, Counting] = {}
    for aggregate in application.aggregates:
        names = application.topics(aggregate)
        made[names.events] = partial(tally_events, aggregate.name, _Names(ids))
        made[names.outcomes] = partial(tally_answers, aggregate.name, application.outcome_codec(aggregate, ids).decode)
    return made


class _Names:
    """The record names that the first bytes of messages stand for."""

    def __init__(self, ids: SchemaIds) -> None:
        self._ids = ids
        self._names: dict[bytes, str] = {}

    def __call__(self, header: bytes) -> str:
        try:
            return self._names[header]
        except KeyError:
            pass
        try:
            name = full_name(written_record(self._ids, schema_id_of(header)).schema).rpartition(".")[2]
        except DecodingError:
            return UNREADABLE
        self._names[header] = name
        return name
