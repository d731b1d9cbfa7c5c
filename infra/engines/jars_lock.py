"""Pins Kafka's jars: resolves them with jgo and writes ``kafka-jars.txt``. Run by ``make lock``.

Kafka and its logging back end are resolved apart: resolved together, jgo applies log4j's dependency management to
Kafka's dependencies and takes an old kafka-clients.
"""

import hashlib
import sys

import jgo

from infra.engines.jars import PINNED, Jar

KAFKA = "org.apache.kafka:kafka_2.13:4.2.0"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3"
_HEADER = f"# SHA-256 and Maven coordinates of {KAFKA} with {LOGGING.split(':')[1]}; written by make lock.\n"


def resolve() -> list[Jar]:
    """All archives that Kafka needs; where both need one, Kafka's version counts."""
    artifacts = {(a.groupId, a.artifactId): a for endpoint in (LOGGING, KAFKA) for a in jgo.resolve(endpoint)}
    return [
        Jar(group, name, artifact.version, hashlib.sha256(artifact.resolve().read_bytes()).hexdigest())
        for (group, name), artifact in sorted(artifacts.items())
    ]


def main() -> int:
    """Write the file."""
    lines = [f"{jar.sha256} {jar.group}:{jar.artifact}:{jar.version}\n" for jar in resolve()]
    PINNED.write_text(_HEADER + "".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
