"""Records get the offsets that they are to have, whatever gaps there are."""

import itertools
from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import Producer

from streams.backup.errors import RestoreFailed
from streams.backup.placing import Placer, producer_of
from streams.backup.records import Stored, stored
from streams.kafka.config import Kafka
from streams.kafka.ends import marks_of, settled_ends
from streams.kafka.topics import KEEP, create_topics
from tests.log import read_committed


def records(*offsets: int) -> list[Stored]:
    return [Stored(each, 1_000 + each, b"k%d" % each, b"v", (("h", b"1"), ("n", None))) for each in offsets]


@pytest.mark.parametrize(
    ("offsets", "end"),
    [
        ([0, 1, 2], 3),
        ([0, 2, 3, 5], 6),
        ([0, 1, 4, 9, 10, 17], 18),
        ([3, 4, 6], 9),
        ([7], 8),
        ([0], 2),
        ([0, 1], 4),
        ([], 0),
        ([], 5),
        ([1, 3, 5, 8, 12, 17], 30),
    ],
)
@pytest.mark.parametrize("batch", [1, 100])
def test_every_record_is_at_its_offset(
    cluster: Kafka, unique_name: Callable[[str], str], offsets: Sequence[int], end: int, batch: int
) -> None:
    place = unique_name("placed"), 0
    create_topics(cluster, {place[0]: KEEP}, 1, 1)
    expected = records(*offsets)
    with Placer(cluster, place, producer_of(cluster)) as placer:
        rest = iter(expected)
        while some := list(itertools.islice(rest, batch)):
            placer.place(some)
        placer.finish(end)
    assert settled_ends(cluster, [place]) == {place: end}
    assert [stored(each) for each in read_committed(cluster, place[0])] == expected
    if offsets:
        assert marks_of(cluster, [place])[place][0] == offsets[0]


def test_a_topic_that_others_write_to_is_an_error(cluster: Kafka, unique_name: Callable[[str], str]) -> None:
    place = unique_name("placed"), 0
    create_topics(cluster, {place[0]: KEEP}, 1, 1)
    producer = Producer(cluster.producer())
    producer.produce(place[0], b"mine", partition=0)
    producer.flush()
    with (
        Placer(cluster, place, producer_of(cluster)) as placer,
        pytest.raises(RestoreFailed, match="a record is at 1 instead of 0"),
    ):
        placer.place(records(0, 1))
