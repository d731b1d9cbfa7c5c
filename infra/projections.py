"""Projections: what an application's projections are, in code and in the database, for `kafold projections`.

Promises: every version that exists anywhere is listed; a lag of 0 means that nothing waits (see `infra/progress.py`).
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import Consumer

from infra.progress import ends_of
from schemas.position import Place, Position
from streams.kafka.config import Kafka
from streams.kernel.application import AnyProjection, Application
from streams.postgres.columns import row_shape
from streams.postgres.connection import connect

_VERSIONS = "SELECT projection, version, live FROM kafold.projections WHERE application = %s ORDER BY 1, 2"
_CHECKPOINTS = """
SELECT projection, version, topic, partition, next, topic_id FROM kafold.checkpoints WHERE application = %s
"""
_PARKED = """
SELECT projection, version, count(*), sum(events)::bigint FROM kafold.parked_keys WHERE application = %s GROUP BY 1, 2
"""

Version = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listed:
    """One version of a projection. `shown`: the view shows it. `in_code`: this application has it.

    `folded` counts offsets, `lag` those that wait; both, and `position`, None where nothing of it runs or ran.
    """

    name: str
    version: int
    in_code: bool
    shown: bool
    key: str
    sources: Sequence[str]
    folded: int | None
    lag: int | None
    position: str | None
    parked_keys: int
    parked_events: int

    def facts(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def list_projections(application: Application, kafka: Kafka, dsn: str) -> list[Listed]:
    """Return every version of the application's projections, in code or in the database."""
    with connect(dsn, "projections") as connection:
        live = {(name, version): shown for name, version, shown in connection.execute(_VERSIONS, [application.name])}
        positions: dict[Version, dict[Place, int]] = {}
        uuids: dict[Version, dict[str, str]] = {}
        for name, version, topic, partition, at, uuid in connection.execute(_CHECKPOINTS, [application.name]):
            positions.setdefault((name, version), {})[topic, partition] = at
            uuids.setdefault((name, version), {})[topic] = uuid
        parked = {
            (name, at): (keys, events) for name, at, keys, events in connection.execute(_PARKED, [application.name])
        }
    with closing(Consumer(kafka.consumer(group_id="kafold-status"))) as consumer:
        ends = ends_of(
            consumer, sorted({topic for each in application.projections for topic in sources(application, each)})
        )
    in_code = {(each.name, each.version): each for each in application.projections}
    listed = []
    for version in sorted({*live, *in_code}):
        position, projection = positions.get(version), in_code.get(version)
        listed.append(
            Listed(
                *version,
                in_code=projection is not None,
                shown=live.get(version, False),
                key=key_of(projection) if projection else "",
                sources=sources(application, projection)
                if projection
                else sorted({topic for topic, _ in position or ()}),
                folded=sum(position.values()) if position else None,
                lag=_lag(position, ends) if position else None,
                position=str(Position(position, uuids[version])) if position else None,
                parked_keys=parked.get(version, (0, 0))[0],
                parked_events=parked.get(version, (0, 0))[1],
            )
        )
    return listed


def key_of(projection: AnyProjection) -> str:
    """Return what a projection's rows are keyed by, for people."""
    column = row_shape(projection).key
    shared = "" if projection.on_aggregate_key else ", shared by partitions"
    return f"{column.name} ({column.type}{shared})"


def sources(application: Application, projection: AnyProjection) -> list[str]:
    """Return the topics that a projection folds."""
    return [application.topics(aggregate).events for aggregate in projection.of]


def _lag(position: dict[Place, int], ends: dict[Place, int]) -> int:
    # The last offset is that of the marker which ends a transaction.
    return sum(max(0, ends[place] - 1 - at) for place, at in position.items() if place in ends)
