"""The worker of the `projections` benchmark, in a process of its own, with the options that it ships with."""

import logging
import sys
from pathlib import Path

from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.worker.main import run


def main() -> None:
    """Run until SIGTERM."""
    from tests.benchmarks.projections import application

    logging.basicConfig(level=logging.WARNING)
    name, bootstrap_servers, dsn, folder = sys.argv[1:]
    kafka = Kafka(bootstrap_servers)
    with TopicRegistry(kafka) as ids:
        run(application(name), kafka, dsn, ids, Path(folder))


if __name__ == "__main__":
    main()
