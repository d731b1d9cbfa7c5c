"""Records get the offsets that they are to have, whatever gaps there are."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

import pytest
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from confluent_kafka import Producer

from streams.backup.errors import RestoreFailed
from streams.backup.manifest import content_sha256
from streams.backup.placing import Placer, producer_of
from streams.backup.records import Stored, placed, stored
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
        ([25_003, 25_004], 25_007),  # more fillers than are written at a time
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


def test_a_gap_of_one_takes_no_more_than_one_record_into_a_transaction(
    cluster: Kafka, unique_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka aborts a transaction that takes too long, and how long many records take nobody knows."""
    sizes, in_transaction = list[int](), Placer._in_transaction

    def noted(self: Placer, of: list[Stored], *, commit: bool) -> None:
        sizes.append(len(of))
        in_transaction(self, of, commit=commit)

    monkeypatch.setattr(Placer, "_in_transaction", noted)
    place = unique_name("placed"), 0
    create_topics(cluster, {place[0]: KEEP}, 1, 1)
    expected = records(*range(500), *range(501, 900), 901)
    with Placer(cluster, place, producer_of(cluster)) as placer:
        placer.place(expected)
        placer.finish(903)
    assert [stored(each) for each in read_committed(cluster, place[0])] == expected
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("first_rank", [None, 0])
def test_a_record_of_the_time_0_is_restored(
    cluster: Kafka, unique_name: Callable[[str], str], first_rank: int | None
) -> None:
    """Others write such records (librdkafka cannot: it takes 0 for now). Restored, they are a millisecond younger."""
    ours, theirs = (unique_name("placed"), 0), (unique_name("placed"), 0)
    create_topics(cluster, {ours[0]: KEEP, theirs[0]: KEEP}, 1, 1)
    asyncio.run(write_with_times(cluster, theirs[0], [0, 5, 0]))
    written = [stored(each) for each in read_committed(cluster, theirs[0])]
    assert [each.time_ms for each in written] == [0, 5, 0]
    expected = list(placed(written, first_rank))
    with Placer(cluster, ours, producer_of(cluster)) as placer:
        placer.place(expected)
        placer.finish(0)
    restored = [stored(each) for each in read_committed(cluster, ours[0])]
    assert [each.time_ms for each in restored] == [1, 5, 1]
    assert content_sha256(restored) == content_sha256(expected)


async def write_with_times(cluster: Kafka, topic: str, times_ms: Sequence[int]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
        for time_ms in times_ms:
            await producer.send_and_wait(topic, b"v", b"k", partition=0, timestamp_ms=time_ms)


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
