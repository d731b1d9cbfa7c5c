"""One-off: a projection that nobody registered, found by its name in code, and its rows put where they are wanted.

Promises: where they are wanted is looked at before anything is folded; Ctrl-C, or any failure, leaves no table and no
file.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from infra.engines import Endpoints
from infra.preparing import kafka_at
from infra.registries import schema_ids
from infra.replaying import interruptions
from infra.settings import Settings
from schemas.errors import DefinitionError
from schemas.position import Position
from streams.event_store.moment import parse_moment
from streams.kernel.application import AnyProjection, Application
from streams.kernel.projection import Projection
from streams.postgres.columns import row_shape
from streams.postgres.connection import connect
from streams.replay.errors import Interrupted
from streams.replay.into_file import NewFile
from streams.replay.into_table import NewTable
from streams.replay.one_off import Question, answer
from streams.replay.running import ROWS_MAX, OnProgress


@dataclass(frozen=True)
class Asked:
    """What was asked. `format` None: into a table. `until`: a position or a time; None: the log's end."""

    projection: AnyProjection
    into: str
    format: str | None = None
    until: str | None = None
    park: bool = False
    rows_max: int | None = None


@dataclass(frozen=True)
class Written:
    """What was written. `events`: offsets read; `parked`: keys that lack events; `spilled`: if memory was short."""

    projection: str
    into: str
    format: str | None
    rows: int
    parked: int
    position: Position
    until: str | None
    events: int
    seconds: float
    spilled: bool

    def facts(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {**self.__dict__, "position": str(self.position)}


def check_projection(found: object, target: str, application: Application) -> AnyProjection:
    """Return what was found as a projection.

    Raises:
        DefinitionError: it is none, or folds what the application does not have.
    """
    if found is None:
        raise DefinitionError(f"--projection {target}: its module has no such name")
    if not isinstance(found, Projection):
        raise DefinitionError(f"--projection {target}: that is a {type(found).__name__}, not a Projection")
    for each in found.of:
        if each not in application.aggregates:
            raise DefinitionError(
                f"--projection {target}: it folds {each.name}, which the application {application.name} does not have; "
                "name its own with `kafold -A package.module:app`"
            )
    return found


def write_one_off(
    application: Application, settings: Settings, endpoints: Endpoints, asked: Asked, on_progress: OnProgress
) -> Written:
    """Fold, and write.

    Raises:
        InvalidPosition: `until` is neither a position nor a time, or the log is not there.
        ReplayError: the text says why it cannot be done.
    """
    projection, kafka, began = asked.projection, kafka_at(endpoints), time.monotonic()
    moment = None if asked.until is None else parse_moment(asked.until)
    question = Question(projection, moment, asked.park, asked.rows_max or ROWS_MAX)
    target: NewTable | NewFile = (
        NewTable(asked.into, application.name)
        if asked.format is None
        else NewFile(asked.into, asked.format, projection.name)
    )
    with connect(endpoints.dsn, "one-off") as connection, interruptions() as interrupted:
        target.check(connection)
        with (
            schema_ids(settings, kafka) as ids,
            answer(application, question, kafka, endpoints.dsn, ids, on_progress, interrupted.is_set) as found,
        ):
            shape, rows = row_shape(projection), _unless(interrupted.is_set, found.rows)
            about = f"{projection.name} at {found.position}" + (f", until {asked.until}" if asked.until else "")
            count = target.write(connection, shape, rows, f"One-off read model: {about}")
    return Written(
        projection.name, asked.into, asked.format, count, found.parked, found.position, asked.until, found.events,
        time.monotonic() - began, found.spilled,
    )  # fmt: skip


def _unless(stopped: Callable[[], bool], rows: Iterable[Any]) -> Iterator[Any]:
    for number, row in enumerate(rows):
        if number % 1000 == 0 and stopped():
            raise Interrupted("stopped")
        yield row
