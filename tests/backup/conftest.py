"""A second cluster, which is empty at the beginning of each test, and a small backup of the session's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.engines import engines
from infra.settings import load_settings
from streams.backup.folder import Folder
from streams.backup.making import make
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kafka.topics import delete_topics, existing_topics
from streams.kernel.application import Application
from streams.processor.processor import CommandProcessor
from tests.backup.traffic import Traffic, decided
from tests.fixtures.engines import UNUSED, engine_folder
from tests.waiting import wait_until


@pytest.fixture(scope="package")
def other_home() -> Iterator[Path]:
    with engine_folder() as home:
        yield home


@pytest.fixture(scope="package")
def other_kafka(other_home: Path) -> Iterator[Kafka]:
    with engines(load_settings(home=other_home, postgres={"dsn": UNUSED})) as endpoints:
        yield Kafka(endpoints.bootstrap_servers)


@pytest.fixture
def empty_cluster(other_kafka: Kafka) -> Kafka:
    """Another Kafka than the session's, without topics of anybody's."""
    delete_topics(other_kafka, [each for each in existing_topics(other_kafka) if not each.startswith("__")])
    return other_kafka


@pytest.fixture
def traffic(application: Application, cluster: Kafka, ids: TopicRegistry) -> Iterator[Traffic]:
    made = Traffic(application, cluster, ids)
    yield made
    made.close()


@pytest.fixture
def backup(
    application: Application, cluster: Kafka, ids: TopicRegistry, processor: CommandProcessor, traffic: Traffic,
    tmp_path: Path,
) -> Folder:  # fmt: skip
    """A small backup."""
    for _ in range(3):
        traffic.some()
    wait_until(lambda: decided(application, cluster), "every command is decided")
    folder = Folder(tmp_path / "backup")
    make(application, cluster, ids, folder, segment_bytes=2_000)
    return folder
