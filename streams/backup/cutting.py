"""Cutting: what a backup of a running application reads, so that its topics fit together.

The order is the point. Up to the commands' committed offset everything is decided. The events' settled ends come after,
so that they have all that was decided up to there, then those of the outcomes, so that every event's outcome is there;
outcomes beyond these events are left out while reading (`ranks`). Then dead letters and commands. The registry comes
last, so that every schema id in the rest is in it.

Promises: nothing is written, nobody is stopped. Commands after the committed offset are in the backup too, and decided
after a restore; those that were decided meanwhile are remembered and only answered again.
"""

import time
from collections.abc import Mapping

from schemas.position import Place
from schemas.registry import SCHEMAS_TOPIC
from streams.backup.manifest import BackedUp, Kind, Manifest, Partition
from streams.kafka.config import Kafka
from streams.kafka.ends import committed_offsets, places_of, settled_ends
from streams.kafka.topics import topic_ids
from streams.kernel.application import Application
from streams.processor.processor import group_of


def kinds_of(application: Application, *, registry: bool) -> dict[str, Kind]:
    """Return the topics of a backup with their kinds, in the order in which they are cut and read."""
    topics = [application.topics(each) for each in application.aggregates]
    kinds: dict[str, Kind] = {each.events: "events" for each in topics}
    kinds |= {each.outcomes: "outcomes" for each in topics}
    kinds |= {application.dead_letters: "dead-letters"}
    kinds |= {each.commands: "commands" for each in topics}
    return kinds | ({SCHEMAS_TOPIC: "registry"} if registry else {})


def cut(application: Application, kafka: Kafka, *, registry: bool) -> Manifest:
    """Return a manifest without segments: what is to be read. `registry`: whether the embedded one is part of it.

    Raises:
        KafkaException: a topic does not exist, or the cluster does not answer.
        Unsettled: a transaction stays open.
    """
    kinds = kinds_of(application, registry=registry)
    commands = places_of(kafka, [name for name, kind in kinds.items() if kind == "commands"])
    committed = committed_offsets(kafka, group_of(application), commands)
    ends: dict[Place, int] = {}
    for kind in dict.fromkeys(kinds.values()):
        ends |= settled_ends(kafka, places_of(kafka, [name for name, each in kinds.items() if each == kind]))
    topics = [
        BackedUp(name=name, kind=kind, partitions=_partitions(name, ends, committed)) for name, kind in kinds.items()
    ]
    ids = topic_ids(kafka, kinds)
    return Manifest(application=application.name, made_ms=time.time_ns() // 1_000_000, topics=topics, topic_ids=ids)


def _partitions(topic: str, ends: Mapping[Place, int], committed: Mapping[Place, int]) -> list[Partition]:
    found = sorted(place for place in ends if place[0] == topic)
    return [Partition(end=ends[place], committed=committed.get(place, 0)) for place in found]
