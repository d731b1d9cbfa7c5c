"""The command processor as a process: runs until it is told to stop, and leaves in order.

Promises: a processor that no longer goes round ends its process, for its supervisor to start another.
"""

import signal
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kafka.topics import check_topics
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from streams.processor.snapshotting import SNAPSHOT_EVENTS
from streams.processor.watched import Watched
from streams.watchdog import Watchdog
from streams.watching.server import WatchServer, pages


@dataclass(frozen=True, slots=True)
class Limits:
    """When the watchdog ends a processor. A turn whose every call to Kafka runs into its time limit takes a minute."""

    stall_s_max: float = 120.0
    stop_s_max: float = 60.0


LIMITS = Limits()


def run(
    application: Application,
    kafka: Kafka,
    ids: SchemaIds,
    partitions: int,
    state: Path,
    *,
    slot: int,
    dedupe_window_s: int,
    snapshot_events: int = SNAPSHOT_EVENTS,
    watch: tuple[str, int] | None = None,
) -> None:
    """Process the application's commands until SIGINT or SIGTERM. The arguments are CommandProcessor's.

    `watch`: where to serve metrics and health, a host and a port.

    Raises:
        Fenced: another process has this slot.
        OSError: the port to watch it on is taken.
        KafkaException: the cluster refuses for good.
        TopicProblem: a topic is missing, or could lose events (the retention guard).
    """
    stop, watched = threading.Event(), Watched()
    watchdog = Watchdog("processor", LIMITS, watched.idle_s, overdue_s=watched.overdue_s)

    def end(*_: object) -> None:
        stop.set()
        watchdog.stopping()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    watchdog.start()
    check_topics(kafka, application, partitions, dedupe_window_s)
    server = nullcontext() if watch is None else WatchServer(*watch, pages(watched.metrics, watched.health))
    with server:
        CommandProcessor(
            application,
            kafka,
            ids,
            partitions,
            state,
            slot=slot,
            dedupe_window_s=dedupe_window_s,
            snapshot_events=snapshot_events,
            watched=watched,
        ).run(stop.is_set)
    watchdog.done()
