"""Groups: who is in a consumer group, and how a dead member is taken out of it at once.

Kafka does that by itself when the member's session has timed out (six seconds at least), and until then nobody else
gets its partitions. A test that kills the only worker again and again would wait for that each time.
"""

import socket
import struct
from typing import Any

from confluent_kafka.admin import AdminClient

from streams.kafka.config import Kafka

LEAVE_GROUP, VERSION = 13, 1
TIMEOUT_S = 10.0


def members(kafka: Kafka, group: str) -> list[str]:
    """Return the ids of the members, among them those that died within the session timeout."""
    admin = AdminClient(kafka.admin())  # kept: its futures die with it
    found: Any = admin.describe_consumer_groups([group], request_timeout=TIMEOUT_S)
    return [member.member_id for member in found[group].result().members]


def bury(kafka: Kafka, group: str) -> None:
    """Take every member out of a group. All of them must be dead: one that lives would only join again."""
    for member_id in members(kafka, group):
        _leave(kafka.bootstrap_servers, group, member_id)


def _leave(broker: str, group: str, member_id: str) -> None:
    """Say for a member that it leaves: the broker of a cluster of one coordinates every group."""
    host, _, port = broker.rpartition(":")
    request = struct.pack(">hhih", LEAVE_GROUP, VERSION, 1, -1) + _text(group) + _text(member_id)
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb").read(14)  # size, correlation, throttle time, error
    (error,) = struct.unpack(">h", answer[12:])
    assert error == 0, f"Kafka answers {error}"


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">h", len(data)) + data
