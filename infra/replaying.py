"""Replaying: a projection built from the log by one process or several, and handed over.

Rows keyed by their aggregate belong to one partition, and so does a row per event; so partitions can be split over
processes: as many as the machine has cores, where the log is long enough and nothing else was asked. Rows that several
partitions share are folded by one process, whatever was asked.

Promises: the parts end with the process that started them; what each has saved stays saved; the handover comes after
the last of them.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from infra.engines import Endpoints
from infra.preparing import kafka_at
from infra.registries import schema_ids
from infra.replay_parts import Crew, Part, Wishes, enough
from infra.settings import Settings
from schemas.position import Position
from streams.kernel.application import AnyProjection, Application
from streams.kernel.parting import Parting
from streams.postgres.checkpoints import Reader
from streams.postgres.connection import connect
from streams.postgres.setup import prepare
from streams.replay.building import build, hand_over, saved
from streams.replay.comparing import Compared, compare, pair, parked
from streams.replay.parting import partings
from streams.replay.planning import Plan, lock, plan
from streams.replay.running import OnProgress
from streams.replay.source import BulkSource


@dataclass(frozen=True)
class Built:
    """How a replay ended. `events`: the offsets that it went through."""

    projection: str
    version: int
    handed_over: bool
    position: Position
    events: int
    seconds: float
    parked: int

    def facts(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {**self.__dict__, "position": str(self.position)}


def replay_projection(
    target: str, application: Application, settings: Settings, endpoints: Endpoints, name: str, wishes: Wishes,
    on_progress: OnProgress,
) -> Built:  # fmt: skip
    """Build a version of a projection, and hand it over; Ctrl-C saves and stops.

    Raises:
        ReplayError: the text says why it cannot be done, or what stands in its way.
        TopicProblem: the log has lost events.
    """
    projection, kafka = application.projection(name, wishes.version), kafka_at(endpoints)
    with (
        connect(endpoints.dsn, "replay") as connection,
        BulkSource(kafka, "replay-plan") as source,
        # Last, so that its processes end before the connection does, which holds the lock.
        Crew(target, _crew_size(source, application, projection, wishes)) as crew,
    ):
        prepare(endpoints.dsn, application)
        lock(connection, application.name, Reader(projection.name, projection.version))
        made = plan(connection, kafka, source, application, projection, restart=wishes.restart)
        began = time.monotonic()
        with interruptions() as interrupted:
            position = _build(crew, made, settings, endpoints, wishes, on_progress, interrupted)
        seconds = time.monotonic() - began
        if position is not None:
            hand_over(connection, made)
        at = position or saved(connection, made)
        events = sum(at.offsets.values()) - sum(made.starts.values())
        keys = parked(connection, application.name, made.reader)
    return Built(name, projection.version, position is not None, at, events, seconds, keys)


def compare_versions(
    application: Application, settings: Settings, endpoints: Endpoints, name: str, version: int | None,
    timeout_s: float, first: int,
) -> tuple[Compared, dict[str, Parting | None]]:  # fmt: skip
    """Compare a version with what readers see, and find the events at which the first differing rows part.

    The second is empty when this code has only one of the versions.

    Raises:
        ReplayError: there are not two versions, or one of them does not come along.
    """
    kafka = kafka_at(endpoints)
    with connect(endpoints.dsn, "compare") as connection:
        old, new = pair(connection, application.name, application.projection(name).name, version)
    compared = compare(endpoints.dsn, application.name, old, new, timeout_s, first)
    here = {Reader(each.name, each.version): each for each in application.projections}
    if not compared.first or old not in here or new not in here:
        return compared, {}
    with schema_ids(settings, kafka) as ids:
        keys = [each.key for each in compared.first]
        return compared, partings(application, here[old], here[new], kafka, ids, keys, compared.position)


def _crew_size(source: BulkSource, application: Application, projection: AnyProjection, wishes: Wishes) -> int:
    """Return how many processes there should be beside this one; 0: this one folds by itself."""
    if not projection.folds_apart:
        return 0
    places = source.places(application.topics(each).events for each in projection.of)
    events = sum(end - first for first, end in source.bounds(places).values())
    count = min(wishes.processes or enough(events, len(os.sched_getaffinity(0))), len(places))
    return count if count > 1 else 0


def _build(
    crew: Crew, made: Plan, settings: Settings, endpoints: Endpoints, wishes: Wishes, on_progress: OnProgress,
    interrupted: threading.Event,
) -> Position | None:  # fmt: skip
    if len(crew):
        starts, count = sorted(made.starts.items()), min(len(crew), len(made.starts))
        shares = [dict(starts[part::count]) for part in range(count)]
        limits = wishes.limits(count)
        parts = [
            Part(settings, endpoints, made.reader, made.topic_ids, made.resumed, wishes.park, limits, number, places)
            for number, places in enumerate(shares)
        ]
        return crew.fold(parts, made, on_progress, interrupted.is_set)
    kafka = kafka_at(endpoints)
    with schema_ids(settings, kafka) as ids:
        return build(
            made, kafka, endpoints.dsn, ids, made.starts,
            park=wishes.park, limits=wishes.limits(1), on_progress=on_progress, stopped=interrupted.is_set,
        )  # fmt: skip


@contextmanager
def interruptions() -> Iterator[threading.Event]:
    """Note the first Ctrl-C or SIGTERM instead of ending at once; a second one ends."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, _frame: object) -> None:
        if noted.is_set():
            raise KeyboardInterrupt(number)
        noted.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
