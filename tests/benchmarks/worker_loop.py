"""The worker of the `projections` benchmark, in a process of its own, watched and with figures, as it ships."""

import logging
import sys
from pathlib import Path

from infra.engines.ports import LOOPBACK, free_port
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.worker.main import run
from streams.worker.options import WorkerOptions


def main() -> None:
    """Run until SIGTERM."""
    from tests.benchmarks.projections import application

    logging.basicConfig(level=logging.WARNING)
    name, bootstrap_servers, dsn, folder = sys.argv[1:]
    kafka = Kafka(bootstrap_servers)
    with TopicRegistry(kafka) as ids:
        run(application(name), kafka, dsn, ids, Path(folder), WorkerOptions(watch=(LOOPBACK, free_port())))


if __name__ == "__main__":
    main()
