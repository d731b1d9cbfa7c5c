"""An application's topics on a cluster: made, checked, and named by UUID.

Promises: what is made can lose nothing (no compaction, no retention on events), what exists is checked for the same at
every start (the **retention guard**), and partition counts never change after creation, since a key's partition would.
"""

import time
from collections.abc import Container, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from schemas.registry import SCHEMAS_TOPIC
from schemas.topics import restoring_topic, topic_id_text
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.kernel.errors import TopicProblem

FOR_EVER = "-1"
TIMEOUT_S = 30.0
ROUND_S = 2.0
PAUSE_S = 0.05
KEEP = {"cleanup.policy": "delete", "retention.ms": FOR_EVER, "retention.bytes": FOR_EVER}
# Compaction leaves out the newest segment, so that these are small.
NEWEST = {"cleanup.policy": "compact", "segment.bytes": str(64 << 20)}


def declared_topics(application: Application, dedupe_window_s: int) -> dict[str, dict[str, str]]:
    """Return each topic that the application needs, with its settings."""
    outcomes = {**KEEP, "retention.ms": str(dedupe_window_s * 1000)}
    topics: dict[str, dict[str, str]] = {application.dead_letters: KEEP}
    for aggregate in application.aggregates:
        names = application.topics(aggregate)
        topics |= {names.commands: KEEP, names.events: KEEP, names.outcomes: outcomes}
    return topics | rebuilt_topics(application)


def rebuilt_topics(application: Application) -> dict[str, dict[str, str]]:
    """Return those of the topics whose contents follow from the others': no backup has them."""
    return {application.topics(each).snapshots: NEWEST for each in application.aggregates}


def prepare_topics(
    kafka: Kafka, application: Application, partitions: int, replication_factor: int, dedupe_window_s: int
) -> None:
    """Make the topics that are missing, and check those that exist.

    Raises:
        TopicProblem: an existing topic could lose events, or has another partition count.
    """
    existing = existing_topics(kafka)
    _check_restored(application, existing)
    declared = declared_topics(application, dedupe_window_s)
    missing = {name: settings for name, settings in declared.items() if name not in existing}
    create_topics(kafka, missing, partitions, replication_factor)
    if SCHEMAS_TOPIC not in existing:
        create_topics(kafka, {SCHEMAS_TOPIC: {"cleanup.policy": "compact"}}, 1, replication_factor)
    check_topics(kafka, application, partitions, dedupe_window_s)


def check_topics(kafka: Kafka, application: Application, partitions: int, dedupe_window_s: int) -> None:
    """Refuse topics that could lose events: the retention guard.

    Raises:
        TopicProblem: names the topic and the setting to change.
    """
    admin = AdminClient(kafka.admin())
    declared = declared_topics(application, dedupe_window_s)
    existing = admin.list_topics(timeout=TIMEOUT_S).topics
    _check_restored(application, existing)
    for name in declared:
        if name not in existing:
            raise TopicProblem(f"topic {name} is missing: start `kafold up` once to make it")
        count = len(existing[name].partitions)
        if count != partitions:
            raise TopicProblem(
                f"topic {name} has {count} partitions, {partitions} are declared: set KAFOLD_PARTITIONS={count} "
                "(a topic's partition count never changes, because keys would move)"
            )
    for name, settings in _settings(admin, declared).items():
        for problem in setting_problems(name, settings, declared[name]):
            raise TopicProblem(problem)


def setting_problems(name: str, actual: Mapping[str, str], declared: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a topic's settings, a line each, with what to do."""
    problems = []
    policy, needed_policy = actual.get("cleanup.policy"), declared["cleanup.policy"]
    if policy != needed_policy:
        lost = "events are lost" if needed_policy == "delete" else "snapshots are lost, or never removed"
        problems.append(f"topic {name} has cleanup.policy={policy}: set it to {needed_policy}, or {lost}")
    for setting in ("retention.ms", "retention.bytes"):
        if setting not in declared:
            continue
        kept, needed = int(actual.get(setting, 0)), int(declared[setting])
        if kept != -1 and (needed == -1 or kept < needed):
            problems.append(f"topic {name} has {setting}={kept}: set it to {needed}, or what is in it is lost")
    return problems


def topic_ids(kafka: Kafka, names: Iterable[str], timeout_s: float = TIMEOUT_S) -> dict[str, str]:
    """Return each topic's UUID, as Kafka prints it."""
    admin = AdminClient(kafka.admin())  # kept: its futures die with it
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=timeout_s)
    return {name: topic_id_text(future.result().topic_id) for name, future in futures.items()}


def existing_topics(kafka: Kafka) -> frozenset[str]:
    """Return the names of all topics that the cluster has."""
    return frozenset(AdminClient(kafka.admin()).list_topics(timeout=TIMEOUT_S).topics)


def create_topics(
    kafka: Kafka, topics: Mapping[str, Mapping[str, str]], partitions: int, replication_factor: int
) -> None:
    """Make topics with their settings, and wait until they answer. One that is there already is left as it is.

    Raises:
        TopicProblem: one cannot be made, or does not answer.
    """
    if not topics:
        return
    admin = AdminClient(kafka.admin())
    made = [NewTopic(name, partitions, replication_factor, config=dict(each)) for name, each in topics.items()]
    _create(admin, made)
    _wait_for_leaders(admin, made)


def delete_topics(kafka: Kafka, names: Iterable[str]) -> None:
    """Delete topics, and wait until they are gone.

    Raises:
        TopicProblem: one is still there after 30 s.
    """
    gone = list(names)
    if not gone:
        return
    admin = AdminClient(kafka.admin())
    for future in admin.delete_topics(gone, operation_timeout=TIMEOUT_S).values():
        future.result(TIMEOUT_S)
    deadline_s = time.monotonic() + TIMEOUT_S
    while left := existing_topics(kafka).intersection(gone):
        if time.monotonic() > deadline_s:
            raise TopicProblem(f"topic {min(left)} was deleted, and is still there after {TIMEOUT_S:g} s")
        time.sleep(PAUSE_S)


def _check_restored(application: Application, existing: Container[str]) -> None:
    if restoring_topic(application.name) in existing:
        raise TopicProblem(
            f"the topics of {application.name} are not wholly restored: run `kafold restore` again, it starts over"
        )


def _create(admin: AdminClient, topics: list[NewTopic]) -> None:
    for name, future in admin.create_topics(topics, operation_timeout=TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as error:
            # Another process that starts at the same moment may have been first.
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise TopicProblem(f"topic {name} cannot be made: {error.args[0].str()}") from error


def _wait_for_leaders(admin: AdminClient, topics: list[NewTopic]) -> None:
    """Wait until every new partition answers: its leader learns of it a moment after the topic is made."""
    waiting = [TopicPartition(topic.topic, number) for topic in topics for number in range(topic.num_partitions)]
    deadline = time.monotonic() + TIMEOUT_S
    problem: BaseException | None = None
    while waiting:
        if time.monotonic() > deadline:
            raise TopicProblem(f"topic {waiting[0].topic} does not answer after {TIMEOUT_S:g} s: {problem}")
        admin.list_topics(timeout=TIMEOUT_S)  # asks anew: the client may have cached that it does not exist
        found = admin.list_offsets({place: OffsetSpec.latest() for place in waiting}, request_timeout=ROUND_S)
        problems = {place: future.exception(TIMEOUT_S) for place, future in found.items()}
        waiting = [place for place, each in problems.items() if each is not None]
        problem = problems[waiting[0]] if waiting else None
        time.sleep(PAUSE_S if waiting else 0)


def _settings(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found: Mapping[Any, Any] = admin.describe_configs(resources, request_timeout=TIMEOUT_S)
    return {
        resource.name: {key: str(entry.value) for key, entry in future.result().items()}
        for resource, future in found.items()
    }
