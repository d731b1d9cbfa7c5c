"""Ports of the producers: what they need of the outside, as Protocols in one file."""

from typing import Any, Protocol


class Cluster(Protocol):
    """How Kafka is reached: makes the configurations of librdkafka's clients."""

    def admin(self) -> dict[str, Any]:
        """Return the configuration of an AdminClient."""
        ...

    def producer(self, **extra: Any) -> dict[str, Any]:
        """Return the configuration of a Producer that places keys by murmur2."""
        ...

    def consumer(self, **extra: Any) -> dict[str, Any]:
        """Return the configuration of a Consumer that reads committed data."""
        ...
