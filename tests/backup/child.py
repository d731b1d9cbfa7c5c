"""A backup in a process of its own, in small segments: `python -m tests.backup.child NAME BOOTSTRAP FOLDER`."""

import sys
from dataclasses import replace
from pathlib import Path

from streams.backup.folder import Folder
from streams.backup.making import make
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry

SEGMENT_BYTES = 500


def main() -> None:
    name, bootstrap_servers, folder = sys.argv[1:]
    kafka = Kafka(bootstrap_servers)
    with TopicRegistry(kafka) as ids:
        make(replace(shop, name=name), kafka, ids, Folder(Path(folder)), segment_bytes=SEGMENT_BYTES)


if __name__ == "__main__":
    main()
