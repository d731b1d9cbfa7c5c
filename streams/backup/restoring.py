"""Restoring: a backup into a cluster that has none of its topics.

Theory of operation. A topic `<application>.restoring` is made first and deleted last: while it is there, the other
topics are an unfinished restore's, nothing starts on them (`check_topics`), and the next restore deletes them, starting
over. Records are placed, then every partition is read again and compared with the manifest. Only then do outcomes
get the retention that they are to have (old ones may go at once), and the processors' group its offsets.

Offsets change, except those of commands. So nothing that speaks of offsets is restored: checkpoints, journal, snapshots
and local state are rebuilt from the log, under the new topics' UUIDs.

Promises: nothing is touched unless the cluster and the database are empty of the application; done means compared.
"""

from collections.abc import Callable, Collection, Iterable

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from schemas.position import Place
from schemas.topics import restoring_topic
from streams.backup.comparing import Count, check_equal
from streams.backup.errors import NotEmpty, WrongFolder
from streams.backup.folder import Folder
from streams.backup.manifest import BackedUp, Manifest, Partition
from streams.backup.placing import Placer, producer_of
from streams.backup.records import placed
from streams.kafka.config import Kafka
from streams.kafka.ends import marks_of
from streams.kafka.topics import (
    FOR_EVER,
    KEEP,
    create_topics,
    declared_topics,
    delete_topics,
    existing_topics,
    rebuilt_topics,
)
from streams.kernel.application import Application
from streams.processor.processor import group_of

OnProgress = Callable[[int, int], None]
TIMEOUT_S = 60.0


def restore(
    application: Application,
    kafka: Kafka,
    folder: Folder,
    *,
    replication_factor: int,
    dedupe_window_s: int,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Manifest:
    """Restore a backup; return its manifest. `on_progress` counts each record twice: written, and compared.

    Raises:
        DamagedBackup: a file is not as it was written.
        NotEmpty: the cluster has one of the topics already.
        NotEqual: what was restored is not what is in the backup.
        RestoreFailed: Kafka did not take a record where it belongs.
        WrongFolder: it is no backup, or one of another application.
    """
    manifest = folder.manifest()
    if manifest.application != application.name:
        raise WrongFolder(
            f"{folder.path} is a backup of {manifest.application}, not of {application.name}: say which with -A"
        )
    marker = restoring_topic(application.name)
    rebuilt = rebuilt_topics(application)
    declared = declared_topics(application, dedupe_window_s)
    _make_room(kafka, manifest, marker, replication_factor, declared, rebuilt)
    _create(kafka, manifest, replication_factor)
    count = _Counting(2 * manifest.records, on_progress)
    producer = producer_of(kafka)
    for place, topic, partition in manifest.places():
        with Placer(kafka, place, producer) as placer:
            _write(placer, folder, place, topic, partition, count)
    check_equal(kafka, manifest, count)
    outcomes = [each.name for each in manifest.topics if each.kind == "outcomes"]
    _retain(kafka, outcomes, dedupe_window_s * 1000)
    _commit(kafka, group_of(application), manifest)
    create_topics(kafka, rebuilt, manifest.partitions, replication_factor)
    delete_topics(kafka, [marker])
    return manifest


class _Counting:
    """Counts records, and tells of how many."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._done, self._total = 0, total
        self._on_progress = on_progress

    def __call__(self, records: int) -> None:
        self._done += records
        self._on_progress(self._done, self._total)


def _make_room(
    kafka: Kafka,
    manifest: Manifest,
    marker: str,
    replication_factor: int,
    declared: Iterable[str],
    rebuilt: Collection[str],
) -> None:
    """Delete what an unfinished restore has left; refuse what anybody else has."""
    existing = existing_topics(kafka)
    begun = marker in existing
    # Of those that no backup has, as of one that was made before an aggregate was there.
    others = existing.intersection(declared).difference(each.name for each in manifest.topics)
    for name in sorted(others.difference(rebuilt if begun else ())):
        raise NotEmpty(f"the cluster has a topic {name} already: nothing was restored. Take an empty cluster")
    there = [each for each in manifest.topics if each.name in existing]
    for topic in there:
        # The registry may be others' too: one without records is no obstacle, nor is what an unfinished restore wrote.
        own = topic.partitions[0].records if begun else 0
        if not (begun if topic.kind != "registry" else _records(kafka, topic.name) <= own):
            raise NotEmpty(
                f"the cluster has a topic {topic.name} already: nothing was restored. Take an empty cluster "
                "(another KAFOLD_HOME, for example), or delete the topics"
            )
    create_topics(kafka, {marker: {}}, 1, replication_factor)
    delete_topics(kafka, [*others, *(each.name for each in there)])


def _records(kafka: Kafka, registry: str) -> int:
    [(_, high)] = marks_of(kafka, [(registry, 0)]).values()
    return high


def _create(kafka: Kafka, manifest: Manifest, replication_factor: int) -> None:
    registries = {each.name: {"cleanup.policy": "compact"} for each in manifest.topics if each.kind == "registry"}
    create_topics(kafka, registries, 1, replication_factor)
    kept = {each.name: {**KEEP, "retention.ms": FOR_EVER} for each in manifest.topics if each.kind != "registry"}
    create_topics(kafka, kept, manifest.partitions, replication_factor)


def _write(placer: Placer, folder: Folder, place: Place, topic: BackedUp, partition: Partition, count: Count) -> None:
    """Write one partition."""
    rank = 0
    for number, segment in enumerate(partition.segments):
        placer.place(placed(folder.read(place, number, segment), None if topic.keeps_offsets else rank))
        rank += segment.records
        count(segment.records)
    placer.finish(partition.end if topic.keeps_offsets else 0)


def _retain(kafka: Kafka, topics: list[str], retention_ms: int) -> None:
    admin = AdminClient(kafka.admin())
    entry = ConfigEntry("retention.ms", str(retention_ms), incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ResourceType.TOPIC, each, incremental_configs=[entry]) for each in topics]
    for future in admin.incremental_alter_configs(resources).values():
        future.result(TIMEOUT_S)


def _commit(kafka: Kafka, group: str, manifest: Manifest) -> None:
    """Have the processors go on where the backup's had come to."""
    offsets = [
        TopicPartition(*place, partition.committed)
        for place, topic, partition in manifest.places()
        if topic.kind == "commands"
    ]
    consumer = Consumer(kafka.consumer(group_id=group))
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    finally:
        consumer.close()
