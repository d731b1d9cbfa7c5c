"""The partitioner agrees with Java's and with librdkafka's `murmur2_random`."""

import random

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.kafka.config import Kafka
from streams.kernel.partitioner import murmur2, partition_of

# From org.apache.kafka.common.utils.UtilsTest of Apache Kafka, as signed 32-bit numbers.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
PARTITIONS = 7


@pytest.mark.parametrize("key", JAVA)
def test_the_hash_is_java_s(key: bytes) -> None:
    assert murmur2(key) == JAVA[key] & 0xFFFFFFFF


@pytest.mark.parametrize("key", JAVA)
@pytest.mark.parametrize("partitions", [1, 3, 7, 1_000])
def test_a_negative_hash_is_made_positive_as_java_does_it(key: bytes, partitions: int) -> None:
    """Java's `toPositive` clears the sign bit; `abs` would place keys elsewhere."""
    assert partition_of(key, partitions) == (JAVA[key] & 0x7FFFFFFF) % partitions


def test_librdkafka_places_every_key_alike(kafka: str, topic_prefix: str) -> None:
    """Keys of every length modulo four, empty ones apart: those librdkafka places anywhere."""
    cluster = Kafka(kafka)
    admin = AdminClient(cluster.admin())
    admin.create_topics([NewTopic(topic_prefix, PARTITIONS, 1)])[topic_prefix].result(30)
    chance = random.Random(1)
    keys = [chance.randbytes(1 + number % 40) for number in range(2_000)]
    keys += [text.encode() for text in ("ada", "größe", "用户-1", "😀", "a" * 1_000)]
    placed: dict[bytes, int] = {}

    def delivered(error: object, message: Message) -> None:
        assert error is None, error
        placed[message.key()] = message.partition()

    producer = Producer(cluster.producer())
    for key in keys:
        producer.produce(topic_prefix, b"", key, on_delivery=delivered)
    assert producer.flush(30) == 0
    assert placed == {key: partition_of(key, PARTITIONS) for key in keys}
    assert set(placed.values()) == set(range(PARTITIONS))
