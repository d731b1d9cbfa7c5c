"""Comparing: what is in a cluster with what a backup says.

Promises: every record is read, with its offset, time, key, value and headers; nothing is written; the first segment
that differs is named.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice

from schemas.position import Place
from streams.backup.errors import NotEqual
from streams.backup.manifest import BackedUp, Manifest, Partition, content_sha256
from streams.backup.records import Stored, stored
from streams.kafka.config import Kafka
from streams.kafka.ends import settled_ends
from streams.kafka.scanning import scan

Count = Callable[[int], None]


def check_equal(kafka: Kafka, manifest: Manifest, count: Count = lambda _records: None) -> None:
    """Compare every partition. `count` is told how many records more are compared.

    Raises:
        NotEqual: something differs.
    """
    for place, topic, partition in manifest.places():
        end = settled_ends(kafka, [place])[place]
        with closing(scan(kafka, {place: end})) as messages:
            _compare(map(stored, messages), place, partition, count)
        _check_end(place, topic, partition, end)


def _compare(records: Iterator[Stored], place: Place, partition: Partition, count: Count) -> None:
    before = 0
    for segment in partition.segments:
        there = list(islice(records, segment.records))
        if content_sha256(there) != segment.content_sha256:
            raise NotEqual(
                f"{place[0]}[{place[1]}]: the records {before} to {before + segment.records - 1} are not those of the "
                "backup: start nothing on this cluster, restore again"
            )
        before += segment.records
        count(segment.records)
    more = next(records, None)
    if more is not None:
        raise NotEqual(f"{place[0]}[{place[1]}] has more records than the backup, from offset {more.offset} on")


def _check_end(place: Place, topic: BackedUp, partition: Partition, end: int) -> None:
    expected = partition.end if topic.keeps_offsets else partition.records
    if end != expected:
        raise NotEqual(f"{place[0]}[{place[1]}] ends at {end}, it should at {expected}")
