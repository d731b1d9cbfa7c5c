"""The partitioner: where an aggregate lives.

Kafka's Java clients, librdkafka's `murmur2_random`, and Faust all place a key at murmur2(key) modulo the number of
partitions; librdkafka's own default (CRC32) does not, and a command that it placed would give an aggregate two owners.

Promises: `partition_of` agrees with Java's `DefaultPartitioner` for every key.
Source: org.apache.kafka.common.utils.Utils.murmur2, after Austin Appleby's MurmurHash2.
"""

_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of the bytes, as Kafka computes it."""
    length = len(data)
    digest = _SEED ^ length
    for start in range(0, length - 3, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        digest = (digest * _MULTIPLIER & _MASK) ^ word
    rest = data[length & ~3 :]
    if rest:
        digest = (digest ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    digest = (digest ^ digest >> 13) * _MULTIPLIER & _MASK
    return digest ^ digest >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that a key belongs to."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
