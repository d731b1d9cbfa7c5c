"""A second cluster, which is empty at the beginning of each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.engines import engines
from infra.settings import load_settings
from streams.kafka.config import Kafka
from streams.kafka.topics import delete_topics, existing_topics
from tests.fixtures.engines import UNUSED, engine_folder


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
