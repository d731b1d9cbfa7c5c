"""A command processor of accounts, in a process of its own, watched, as it ships."""

import logging
import sys
from pathlib import Path

from infra.engines.ports import LOOPBACK, free_port
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.processor.main import run


def main() -> None:
    """Run until SIGTERM."""
    from tests.benchmarks.projections import DEDUPE_WINDOW_S, PARTITIONS, application

    logging.basicConfig(level=logging.WARNING)
    name, bootstrap_servers, folder = sys.argv[1:]
    kafka = Kafka(bootstrap_servers)
    with TopicRegistry(kafka) as ids:
        watch = LOOPBACK, free_port()
        run(
            application(name),
            kafka,
            ids,
            PARTITIONS,
            Path(folder),
            slot=0,
            dedupe_window_s=DEDUPE_WINDOW_S,
            watch=watch,
        )


if __name__ == "__main__":
    main()
