"""The command processor as a process: runs until it is told to stop, and leaves in order."""

import signal
import threading

from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor


def run(application: Application, kafka: Kafka, ids: SchemaIds, partitions: int, slot: int = 0) -> None:
    """Process the application's commands until SIGINT or SIGTERM.

    Raises:
        Fenced: another process has this slot.
        KafkaException: the cluster refuses for good.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    CommandProcessor(application, kafka, ids, partitions, slot).run(stop.is_set)
