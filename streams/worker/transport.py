"""The transport: Faust's aiokafka driver, reading committed data from where the database says, a whole batch at a time.

Registered under the `faust.transports` entry point as `kafold`, so `kafold://host:port` is a broker URL for Faust. It
leans on these internals of faust-streaming 0.15.3, which `tests/worker/test_faust_internals.py` checks:

- `AIOKafkaConsumerThread._create_worker_consumer` makes the aiokafka consumer, before it is started;
- `Consumer.perform_seek` is awaited after every assignment, before the flow of messages is resumed;
- `Consumer._drain_messages` is the loop from fetching to `Consumer.callback`, and `_wait_next_records` its fetch;
- `Consumer.seek_wait` seeks on the consumer's thread, and `Consumer.highwaters` asks there for the partitions' ends;
- the conductor calls `Consumer.on_buffer_full` when the agent's buffer fills up, and waits in `Consumer.callback` when
  it is full;
- `AIOKafkaConsumerThread.call_thread` runs a coroutine in the consumer's thread;
- the aiokafka consumer's `_subscription` knows each partition's position and high watermark.

Promises: an aborted or open transaction's records are never seen; records that were fetched for an ownership that has
ended are dropped, and if their partition is still (or again) ours, it is read anew from its checkpoint.
"""

import logging
import time
from collections.abc import Collection, Iterable
from typing import Any, cast

import faust.transport.drivers.aiokafka as driver
from aiokafka import TopicPartition  # type: ignore[import-untyped]
from faust.types import TP, ConsumerMessage

from schemas.position import Place
from streams.kernel.errors import TopicProblem
from streams.watching.figures import KEPT_S
from streams.worker.reading import Batch, Fetched, Reading

_LOG = logging.getLogger("kafold.worker")
FETCH_WAIT_S = 1.0
# A partition that was emptied while a request for the others was under way is asked for only after that has returned.
BROKER_WAIT_MS = 100
RECOUNTED_MAX = 20_000  # records of a partition that are read again for the figures, after a kill


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread that owns the aiokafka consumer."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust asks for committed data only together with its own exactly-once mode, which lets outputs escape.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        consumer._fetch_max_wait_ms = BROKER_WAIT_MS  # noqa: SLF001  (Faust: 1500)
        return consumer

    async def since(self, partitions: Collection[TP], time_s: float) -> dict[TP, int]:
        """Return for each partition the first offset that is no older, or its end."""
        if not partitions:
            return {}
        found: dict[TP, int] = await self.call_thread(self._since, partitions, int(time_s * 1000))
        return found

    async def _since(self, partitions: Collection[TP], time_ms: int) -> dict[TP, int]:
        consumer = self._ensure_consumer()
        ends = await consumer.end_offsets(partitions)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, time_ms))
        return {tp: ends[tp] if found[tp] is None else found[tp].offset for tp in partitions}


class Consumer(driver.Consumer):
    """Faust's consumer, whose truth is the database."""

    @property
    def reading(self) -> Reading:
        """What the worker reads."""
        return cast("Reading", cast("Any", self.app).reading)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def on_buffer_full(self, tp: Any) -> None:
        """Go on asking for the partition: `_hand` waits until there is room, which is all the backpressure there is.

        Faust would leave the partition out, and sleep for a second when it has left all of them out.
        """

    async def perform_seek(self) -> None:
        """Go on from the database's checkpoints. Faust calls this after each assignment."""
        assigned = {TP(tp.topic, tp.partition) for tp in self.assignment()}
        ends = await self.highwaters(*assigned) if assigned else {}
        seeks = await self.reading.own({(tp.topic, tp.partition): end for tp, end in ends.items()})
        starts = {TP(*place): offset for place, offset in seeks.items()}
        await self._check_beginnings()
        for tp, at in (await self._count(assigned)).items():
            # What the exact path has is skipped by it. Beyond that it is not worth it: they are figures.
            if tp not in starts or starts[tp] - RECOUNTED_MAX <= at < starts[tp]:
                starts[tp] = at
        if starts:
            await self.seek_wait(starts)
        self.reading.catch_up_begins()

    async def _count(self, assigned: Collection[TP]) -> dict[TP, int]:
        """Have the figures go on in what is assigned, and return where. They never stop the worker."""
        figures, exact = cast("Any", self.app).figures, self.reading.partitions
        if figures is None:
            return {}
        counted = {(tp.topic, tp.partition): tp for tp in assigned if tp.topic in figures.topics}
        alone = {place: tp for place, tp in counted.items() if place not in exact}
        try:
            recent = await cast("Any", self._thread).since(alone.values(), time.time() - KEPT_S)
            starts = await figures.own(counted.keys(), {place: recent[tp] for place, tp in alone.items()})
        except Exception:  # noqa: BLE001 - they are figures, not the truth
            _LOG.exception("there will be no figures until the next assignment")
            self.pause_partitions(alone.values())
            return {}
        exact.update({place: {} for place in alone})
        return {tp: starts[place] for place, tp in counted.items()}

    async def _check_beginnings(self) -> None:
        """Refuse to pass over events that the topic has lost."""
        starts = {TP(*place): start for place, start in self.reading.starts().items()}
        beginnings = await self.earliest_offsets(*starts) if starts else {}
        for tp, start in starts.items():
            if beginnings.get(tp, 0) <= start:
                continue
            if tp.topic in self.reading.passing:
                _LOG.error(
                    "%s[%d] begins at offset %d, but its checkpoint is %d: the answers between are gone; processes "
                    "that wait for them are in kafold.outbox, with the commands that they sent",
                    tp.topic, tp.partition, beginnings[tp], start,
                )  # fmt: skip
            else:
                raise TopicProblem(
                    f"{tp.topic}[{tp.partition}] begins at offset {beginnings[tp]}, but its checkpoint is {start}: the "
                    "events between are lost to this reader; restore the topic, and set its retention to for ever"
                )

    async def _drain_messages(self, fetcher: Any) -> None:
        while not (self.should_stop or fetcher.should_stop):
            owned = self.reading.partitions
            records, _ = await self._wait_next_records(FETCH_WAIT_S)
            self.reading.turned()
            if self.reading.outdated:
                await self.perform_seek()
            elif not records:
                await self.sleep(0)
            elif owned is self.reading.partitions:
                for tp, fetched in records.items():
                    await self._hand(owned, tp, fetched)
            elif any((tp.topic, tp.partition) in self.reading.partitions for tp in records):
                await self.perform_seek()

    async def _hand(self, owned: dict[tuple[str, int], Any], tp: Any, fetched: list[Any]) -> None:
        """Give one partition's records to Faust as one message, whose value is the batch."""
        held = owned.get((tp.topic, tp.partition))
        if held is None or not fetched:
            return
        last = fetched[-1]
        self.reading.handed[tp.topic, tp.partition] = last.offset + 1
        message = ConsumerMessage(
            tp.topic, tp.partition, last.offset, time.time(), last.timestamp_type, [], None,
            cast("bytes", Batch(held, fetched)), None, 0, 0, TP(tp.topic, tp.partition),
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        await self.wait_first(self.callback(message), self.suspend_flow.wait())
        self._read_offset[message.tp] = last.offset

    def fetched(self, places: Iterable[Place]) -> dict[Place, Fetched]:
        """Return how far it is in the partitions that it has fetched from, as of the last fetch."""
        consumer = cast("Any", self._thread)._consumer  # noqa: SLF001
        subscription = None if consumer is None else consumer._subscription.subscription  # noqa: SLF001
        if subscription is None or subscription.assignment is None:
            return {}
        # Numbers that another thread writes, which is fine for reading how far it is.
        states = {place: subscription.assignment.state_value(TopicPartition(*place)) for place in places}
        return {
            place: Fetched(state.position, state.highwater)
            for place, state in states.items()
            if state is not None and state.has_valid_position and state.highwater is not None
        }


class Transport(driver.Transport):
    """Faust's aiokafka transport with the consumer above."""

    Consumer = Consumer
