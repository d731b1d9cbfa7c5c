"""Preparing: everything that an application needs on its cluster and in its database before it runs.

Promises: to prepare again changes nothing; what exists and could lose events is refused (the retention guard).
"""

from collections.abc import Callable

from infra.engines import Endpoints
from infra.registries import register_application
from infra.settings import Settings
from streams.kafka.config import Kafka
from streams.kafka.topics import prepare_topics
from streams.kernel.application import Application
from streams.postgres.setup import prepare as prepare_database
from streams.worker.beginning import begin


def kafka_at(endpoints: Endpoints) -> Kafka:
    """Return how the endpoints' Kafka is reached."""
    return Kafka(endpoints.bootstrap_servers, endpoints.kafka_properties)


def prepare(
    application: Application, settings: Settings, endpoints: Endpoints, on_progress: Callable[[str], None]
) -> None:
    """Make the topics, the tables and the schemas' ids that are missing.

    Raises:
        DefinitionError: a process manager's new version has to wait for the processes of the one before it.
        IncompatibleSchema: a schema may not follow the versions that are registered.
        TopicProblem: an existing topic could lose events, or has another partition count.
    """
    kafka = kafka_at(endpoints)
    on_progress("preparing topics")
    prepare_topics(kafka, application, settings.partitions, settings.replication_factor, settings.dedupe_window_s)
    on_progress("preparing tables")
    prepare_database(endpoints.dsn, application)
    begin(kafka, endpoints.dsn, application)
    on_progress("registering schemas")
    register_application(settings, kafka, endpoints.dsn, application)
