"""The log's end: whether a position can be one that somebody was given, or lies beyond all that there is.

The end is the high watermark, so that it counts open transactions: whoever was told that a command is accepted has a
position before it. Ends only grow, and so a known one is enough for every position before it.

Promises: Kafka is asked only about what lies beyond the end that is known, for all who wait at once; where it does not
answer in time, nothing is refused.
"""

import logging
import threading
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.closing import Closing
from schemas.position import Place, Position
from streams.kafka.config import Kafka
from streams.kafka.ends import UNKNOWN
from streams.kafka.topics import topic_ids
from streams.kernel.errors import BeyondLog

_LOG = logging.getLogger("kafold.log")
# Whoever reads their own writes is mostly answered before that, and then nobody asks.
CHECK_AFTER_S = 0.1
TIMEOUT_S = 1.0
SILENT_S = 5.0


class LogEnd(Closing):
    """Knows where the log ends. It may be shared between threads; close it, or use it in a `with`."""

    def __init__(self, kafka: Kafka) -> None:
        """Connect to nothing yet."""
        self._kafka = kafka
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._known = Position()
        self._asked_at: dict[Place, float] = {}
        self._silent_until = 0.0

    def check(self, goal: Position) -> None:
        """Refuse a position that no part of the log has. Blocks for some `TIMEOUT_S` at most.

        Raises:
            BeyondLog: it lies beyond the log's end.
            InvalidPosition: it speaks of another topic of the same name.
        """
        began = time.monotonic()
        if self._has(goal):
            return
        with self._lock:
            asked_at = min(self._asked_at.get(place, 0.0) for place in goal.offsets)
            if not self._has(goal) and asked_at < began:
                if began < self._silent_until:
                    return
                try:
                    self._ask(goal)
                except KafkaException as error:
                    _LOG.info("where the log ends is not known: %s", error)
                    self._silent_until = time.monotonic() + SILENT_S
                    return
            known = self._known
        if not known.reached(goal):  # which refuses another topic of the same name
            ends = {place: known.offsets[place] for place in goal.offsets if place in known.offsets}
            raise BeyondLog(Position(ends, known.topic_ids), goal)

    def close(self) -> None:
        """Leave the cluster."""
        if self._consumer is not None:
            self._consumer.close()

    def _has(self, goal: Position) -> bool:
        ids = self._known.topic_ids
        return all(ids.get(topic) == uuid for topic, uuid in goal.topic_ids.items()) and self._known.reached(goal)

    def _ask(self, goal: Position) -> None:
        """Learn the ends of the partitions that the goal speaks of, and their topics' UUIDs."""
        topics = sorted({topic for topic, _ in goal.offsets})
        ids = topic_ids(self._kafka, topics, TIMEOUT_S)
        kept = [topic for topic, uuid in self._known.topic_ids.items() if ids.get(topic, uuid) == uuid]
        now = time.monotonic()
        ends = self._ends(goal)
        self._known = self._known.only(kept).merge(Position(ends, ids))
        self._asked_at |= dict.fromkeys(ends, now)

    def _ends(self, goal: Position) -> dict[Place, int]:
        """Return the ends of the goal's partitions, up to the first that it is beyond."""
        if self._consumer is None:
            self._consumer = Consumer(
                self._kafka.consumer(group_id="kafold-log-end", isolation_level="read_uncommitted")
            )
        ends: dict[Place, int] = {}
        for place, offset in goal.offsets.items():
            try:
                _, ends[place] = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() not in UNKNOWN:
                    raise
                ends[place] = 0
            if ends[place] < offset:
                break
        return ends
