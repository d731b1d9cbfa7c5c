"""A worker in a process of its own: `python -m tests.worker.child NAME BOOTSTRAP DSN FOLDER`."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.worker.main import run
from streams.worker.options import WorkerOptions


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    name, bootstrap_servers, dsn, folder = sys.argv[1:]
    kafka = Kafka(bootstrap_servers)
    # Small batches and short limits: more rebalances and more commits to be killed in.
    options = WorkerOptions(fetch_bytes_max=32_768, session_timeout_s=6.0, stop_s_max=8.0)
    with TopicRegistry(kafka) as ids:
        run(replace(shop, name=name), kafka, dsn, ids, Path(folder), options)


if __name__ == "__main__":
    main()
