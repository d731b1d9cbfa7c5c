"""The manifest: what a backup holds, and the checksums that it is judged by.

It is written last, so that a folder with a manifest is a whole backup. Of each topic partition it has the **segments**,
each with two checksums: of its file, and of its contents, which are the records with the offsets that they have in a
restored cluster. So a restored cluster is compared with the manifest alone.

Promises: pure; a manifest that is not one, or was changed, is refused.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.position import Place
from streams.backup.errors import DamagedBackup
from streams.backup.records import Stored, encode

FORMAT: Literal[1] = 1
Kind = Literal["commands", "events", "outcomes", "dead-letters", "registry"]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=249)]
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Segment(_Part):
    """Part of a partition, in one file. `last`: the original offset of its last record."""

    records: Count
    last: Count
    file_sha256: str
    content_sha256: str


class Partition(_Part):
    """One partition. `end`: where it ended; `committed`: of commands, up to where they were decided."""

    end: Count
    committed: Count = 0
    segments: list[Segment] = []

    @property
    def records(self) -> int:
        """How many records it has."""
        return sum(each.records for each in self.segments)


class BackedUp(_Part):
    """One topic."""

    name: Topic
    kind: Kind
    partitions: list[Partition]

    @property
    def keeps_offsets(self) -> bool:
        """Whether a restore gives the records their old offsets: ids are made from those of commands."""
        return self.kind == "commands"


class Manifest(_Part):
    """A backup. `topic_ids`: the UUIDs of the topics that it was made from."""

    format: Literal[1] = FORMAT
    application: str
    made_ms: int
    topics: list[BackedUp]
    topic_ids: dict[str, str] = {}

    @property
    def records(self) -> int:
        """How many records it has."""
        return sum(partition.records for topic in self.topics for partition in topic.partitions)

    @property
    def partitions(self) -> int:
        """How many partitions each topic of the application has."""
        return max((len(topic.partitions) for topic in self.topics if topic.kind != "registry"), default=0)

    def places(self) -> Iterator[tuple[Place, BackedUp, Partition]]:
        """Yield every partition, with its topic."""
        for topic in self.topics:
            for number, partition in enumerate(topic.partitions):
                yield (topic.name, number), topic, partition

    def to_text(self) -> str:
        """Return it as text: its checksum in the first line, then JSON."""
        body = self.model_dump_json(indent=1)
        return f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}\n"

    @classmethod
    def from_text(cls, text: str) -> "Manifest":
        """Read the text.

        Raises:
            DamagedBackup: it is not as it was written.
        """
        checksum, _, rest = text.partition("\n")
        body = rest.removesuffix("\n")
        if hashlib.sha256(body.encode()).hexdigest() != checksum:
            raise DamagedBackup("its checksum is another one")
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            raise DamagedBackup(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def content_sha256(records: Iterable[Stored]) -> str:
    """Return the checksum of records, which have the offsets of a restored cluster."""
    checksum = hashlib.sha256()
    for each in records:
        checksum.update(encode(each))
    return checksum.hexdigest()
