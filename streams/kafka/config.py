"""How Kafka is reached: one value that every client of it is made from.

Promises: each client gets the properties that design and measurement demand of all of them: the partitioner that agrees
with Java's, quick retries (the default back-off of 100 ms is what a lone transaction would wait), and logs that go to
Python's logging instead of stderr.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LOG = logging.getLogger("kafold.librdkafka")


@dataclass(frozen=True, slots=True)
class Kafka:
    """A cluster: its bootstrap servers, and further librdkafka properties (TLS, SASL)."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict)

    def _common(self) -> dict[str, Any]:
        return {**self.properties, "bootstrap.servers": self.bootstrap_servers, "logger": _LOG}

    def admin(self) -> dict[str, Any]:
        """Return the configuration of an AdminClient."""
        return self._common()

    def producer(self, **extra: Any) -> dict[str, Any]:
        """Return the configuration of a Producer; `extra` has librdkafka's names with underscores for dots."""
        return {
            **self._common(),
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 10,
            "compression.type": "lz4",
            **_dotted(extra),
        }

    def consumer(self, **extra: Any) -> dict[str, Any]:
        """Return the configuration of a Consumer that reads committed data and commits nothing by itself."""
        return {
            **self._common(),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": False,
            **_dotted(extra),
        }


def _dotted(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "."): value for key, value in extra.items()}
