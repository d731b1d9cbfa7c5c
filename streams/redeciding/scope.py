"""A scope: which recorded commands are asked about, from one moment to another.

Promises: pure; a position takes the commands from it on (`since`) or before it (`until`), a time those that were asked
from it on, or up to it, by the time that Kafka has of them; a position that says nothing of a partition, or speaks of
what has not been decided yet, is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Message

from schemas.errors import InvalidPosition
from schemas.position import Place, Position
from streams.event_store.moment import Moment


@dataclass(frozen=True, slots=True)
class Scope:
    """Both ends of it; None: open."""

    since: Moment | None = None
    until: Moment | None = None

    def check(self, ends: Mapping[Place, int], topic_ids: Mapping[str, str]) -> None:
        """Refuse positions that are not of these partitions. `ends`: up to where their commands are decided.

        Raises:
            InvalidPosition: the text says what is wrong with it.
        """
        for moment in (self.since, self.until):
            if moment is not None and moment.position is not None:
                _check(moment.position, ends, topic_ids)

    def has(self, record: Message) -> bool:
        """Return whether a command is asked about."""
        place, offset, time_ms = (str(record.topic()), record.partition()), record.offset(), record.timestamp()[1]
        since, until = self.since, self.until
        if since is not None:
            if since.position is not None and offset < since.position.offsets[place]:
                return False
            if since.time_ms is not None and time_ms < since.time_ms:
                return False
        if until is not None:
            if until.position is not None and offset >= until.position.offsets[place]:
                return False
            if until.time_ms is not None and time_ms > until.time_ms:
                return False
        return True


def _check(position: Position, ends: Mapping[Place, int], topic_ids: Mapping[str, str]) -> None:
    Position(ends, topic_ids).reached(position)  # refuses another topic of the same name
    for place, end in ends.items():
        told = position.offsets.get(place)
        if told is None:
            raise InvalidPosition(
                f"the position says nothing of partition {place[1]} of {place[0]}: name it, or use a time"
            )
        if told > end:
            raise InvalidPosition(
                f"the position is {place[1]}={told} of {place[0]}, decided is only what is before {end}"
            )
