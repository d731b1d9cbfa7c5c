"""The command processor as a process: runs until it is told to stop, and leaves in order."""

import signal
import threading
from contextlib import nullcontext
from pathlib import Path

from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kafka.topics import check_topics
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from streams.processor.snapshotting import SNAPSHOT_EVENTS
from streams.processor.watched import Watched
from streams.watching.server import WatchServer, pages


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
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    check_topics(kafka, application, partitions, dedupe_window_s)
    watched = Watched()
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
