"""Topics: how an application's topics and subjects are named.

Promises: names follow from the application and the aggregate alone, so that a producer in any language can say them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AggregateTopics:
    """The topics of one aggregate type. All have the same number of partitions and the same key."""

    application: str
    aggregate: str

    @property
    def namespace(self) -> str:
        """The namespace of the aggregate's Avro records. Avro's names have no hyphens, topics may have."""
        return f"{self.application}.{self.aggregate}".replace("-", "_")

    @property
    def commands(self) -> str:
        """Where commands are asked."""
        return f"{self.application}.{self.aggregate}.commands"

    @property
    def events(self) -> str:
        """Where events are kept for ever: the event store."""
        return f"{self.application}.{self.aggregate}.events"

    @property
    def outcomes(self) -> str:
        """Where each command's answer is given."""
        return f"{self.application}.{self.aggregate}.outcomes"

    @property
    def snapshots(self) -> str:
        """Where the processors keep aggregates' states for each other. A cache: nothing of it is published."""
        return f"{self.application}.{self.aggregate}.snapshots"


def dead_letters_topic(application: str) -> str:
    """Return the topic of the application's messages that could not be understood."""
    return f"{application}.dead-letters"


def restoring_topic(application: str) -> str:
    """Return the topic that is there while the application's topics are being restored. Nothing is written to it."""
    return f"{application}.restoring"


def subject_of(topic: str, record: str) -> str:
    """Return the subject of a record (by its full name) on a topic."""
    return f"{topic}-{record}"


def topic_id_text(uuid: object) -> str:
    """Return a topic's UUID as Kafka's own tools print it, URL-safe; librdkafka prints the other base64."""
    return str(uuid).replace("+", "-").replace("/", "_")
