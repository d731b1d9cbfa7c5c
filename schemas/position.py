"""A position: how far a reader has come in the log.

For each topic and partition it holds the last folded event's offset + 1. It never equals the log's end, since
transaction markers take offsets too: compare with `reached`. It names each topic's UUID, because a topic that was
deleted and made again is another log.

Promises: positions are immutable, merge to the later of two, and survive as text:
`shop.account.events@<uuid>:0=12,3=45;shop.user.events@<uuid>:1=7`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from schemas.errors import InvalidPosition

_OFFSET = r"[0-9]{1,10}=[0-9]{1,19}"  # what Kafka's numbers have
_TOPIC = re.compile(rf"(?P<topic>[A-Za-z0-9._-]+)@(?P<uuid>[A-Za-z0-9_-]+):(?P<offsets>{_OFFSET}(?:,{_OFFSET})*)\Z")


# A partition: its topic, and its number.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Position:
    """`offsets`: by topic and partition, the next offset to read. `topic_ids`: each topic's UUID."""

    offsets: Mapping[Place, int] = field(default_factory=dict)
    topic_ids: Mapping[str, str] = field(default_factory=dict)

    def reached(self, goal: "Position") -> bool:
        """Return whether everything before the goal is folded.

        Raises:
            InvalidPosition: the two speak of different topics of the same name.
        """
        self._check_topics(goal)
        return all(self.offsets.get(place, 0) >= offset for place, offset in goal.offsets.items())

    def merge(self, other: "Position") -> Self:
        """Return the later of the two, partition by partition."""
        self._check_topics(other)
        offsets = dict(self.offsets)
        for place, offset in other.offsets.items():
            offsets[place] = max(offset, offsets.get(place, 0))
        return type(self)(offsets, {**self.topic_ids, **other.topic_ids})

    def only(self, topics: Iterable[str]) -> Self:
        """Return the part that speaks of these topics."""
        kept = set(topics)
        return type(self)(
            {place: offset for place, offset in self.offsets.items() if place[0] in kept},
            {topic: uuid for topic, uuid in self.topic_ids.items() if topic in kept},
        )

    def _check_topics(self, other: "Position") -> None:
        for topic, uuid in other.topic_ids.items():
            if self.topic_ids.get(topic, uuid) != uuid:
                raise InvalidPosition(f"the position speaks of another topic named {topic}, which was since made again")

    def __str__(self) -> str:
        """Return the text form, topics and partitions in order."""
        topics: dict[str, list[str]] = {}
        for (topic, partition), offset in sorted(self.offsets.items()):
            topics.setdefault(topic, []).append(f"{partition}={offset}")
        return ";".join(f"{topic}@{self.topic_ids.get(topic, '-')}:{','.join(each)}" for topic, each in topics.items())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form.

        Raises:
            InvalidPosition: the text is not of that form.
        """
        offsets: dict[Place, int] = {}
        topic_ids: dict[str, str] = {}
        for part in filter(None, text.split(";")):
            match = _TOPIC.match(part)
            if match is None:
                raise InvalidPosition(f"{part!r} is not of the form topic@uuid:partition=offset,…")
            if match["topic"] in topic_ids:
                raise InvalidPosition(f"{match['topic']} is in the position twice")
            topic_ids[match["topic"]] = match["uuid"]
            offsets.update(_offsets(match["topic"], match["offsets"]))
        return cls(offsets, {topic: uuid for topic, uuid in topic_ids.items() if uuid != "-"})


def _offsets(topic: str, text: str) -> dict[Place, int]:
    pairs = [pair.partition("=") for pair in text.split(",")]
    offsets = {(topic, int(partition)): int(offset) for partition, _, offset in pairs}
    if len(offsets) < len(pairs):
        raise InvalidPosition(f"a partition of {topic} is in the position twice")
    return offsets
