"""The parts of a replay: processes that fold a share of its partitions each, and the one that watches over them.

The processes are a **crew**: they start, and load the application, while the plan is made that says what each folds.

Promises: a part that fails stops the others, which save what they have; parts end with the process that started them,
also when that is killed.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait as first_of
from typing import Any

from infra.cli.context import Invocation
from infra.engines import Endpoints
from infra.preparing import kafka_at
from infra.registries import schema_ids
from infra.settings import Settings
from schemas.closing import Closing
from schemas.errors import KafoldError
from schemas.position import Place, Position
from streams.kernel.application import Application
from streams.postgres.tables import table_of
from streams.replay.building import build
from streams.replay.errors import ReplayError
from streams.replay.planning import Plan
from streams.replay.running import Limits, OnProgress, Progress

EVENTS_A_PROCESS = 250_000
NICENESS = 10  # commands, workers and engines of the same machine go first


@dataclass(frozen=True)
class Wishes:
    """What was asked of a replay. `processes`: None leaves it to `enough`."""

    version: int | None = None
    restart: bool = False
    park: bool = False
    processes: int | None = None
    rows_max: int | None = None

    def limits(self, processes: int) -> Limits:
        """Return the memory of each of so many processes."""
        return Limits() if self.rows_max is None else Limits(max(1, self.rows_max // processes))


def enough(events: int, cores: int) -> int:
    """Return how many processes are worth their start, which takes each as long as to fold 50,000 events."""
    return max(1, min(cores, events // EVENTS_A_PROCESS))


@dataclass(frozen=True)
class Part:
    """What a process is told. All of it can be sent to it."""

    settings: Settings
    endpoints: Endpoints
    projection: tuple[str, int]
    topic_ids: Mapping[str, str]
    resumed: bool
    park: bool
    limits: Limits
    number: int
    places: Mapping[Place, int]


class Crew(Closing):
    """Processes for the parts of a replay; a context manager."""

    def __init__(self, target: str, count: int) -> None:
        """Start the processes. `target`: the application, which each of them imports."""
        self._processes = [_Process(target) for _ in range(count)]

    def close(self) -> None:
        """End the processes, and wait for their ends."""
        for each in self._processes:
            each.end()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._processes)

    def fold(
        self, parts: Sequence[Part], made: Plan, on_progress: OnProgress, stopped: Callable[[], bool]
    ) -> Position | None:
        """Fold each part in a process of its own. None: it was stopped.

        Raises:
            ReplayError: what a part says of the same kind.
        """
        processes = self._processes[: len(parts)]
        for each, part in zip(processes, parts, strict=True):
            each.begin(part)
        while waiting := [each for each in processes if each.answer is None]:
            for pipe in first_of([each.pipe for each in waiting], timeout=0.2):
                next(each for each in waiting if each.pipe is pipe).hear()
            on_progress(_sum([each.progress for each in processes]))
            if stopped() or any(isinstance(each.answer, Exception) for each in processes):
                for each in waiting:
                    each.stop()
        return _answer([each.answer for each in processes], made)


class _Process:
    """One process from outside. `answer`: where it ended, an empty mapping if it was stopped, or why it failed."""

    def __init__(self, target: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=run_part, args=(target, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.progress = Progress(0, 0, {})
        self.answer: Mapping[Place, int] | Exception | None = None
        self._is_idle = True

    def begin(self, part: Part) -> None:
        """Tell it its part."""
        self._is_idle, self.progress = False, Progress(0, 0, part.places)
        with suppress(BrokenPipeError):  # it has ended already, and said why
            self.pipe.send(part)

    def hear(self) -> None:
        """Take one message."""
        try:
            heard = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            heard = ReplayError(f"a process of the replay ended with exit code {self._process.exitcode}: try again")
        if isinstance(heard, Progress):
            self.progress = heard
        else:
            self.answer = heard

    def stop(self) -> None:
        """Ask it to save and to end."""
        self.pipe.send("stop")

    def end(self) -> None:
        """Wait for its end."""
        self.pipe.close()
        if self._is_idle:
            self._process.terminate()
        self._process.join()


def run_part(target: str, pipe: Pipe) -> None:
    """Fold one share: the process's whole work. A message, or the end of whoever listens, stops it."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the one that watches tells us
    try:
        application = Invocation(target, debug=False).application()
        pipe.send(_fold(application, pipe.recv(), pipe) or {})
    except (BrokenPipeError, EOFError):
        return
    except Exception as error:  # noqa: BLE001  (told to the other process, which raises it)
        pipe.send(error if isinstance(error, KafoldError) else ReplayError(f"{type(error).__name__}: {error}"))


def _fold(application: Application, part: Part, pipe: Pipe) -> Mapping[Place, int] | None:
    projection, kafka = application.projection(*part.projection), kafka_at(part.endpoints)
    table = table_of(application.name, projection)
    plan = Plan(application, projection, table, part.places, part.topic_ids, part.resumed)
    with schema_ids(part.settings, kafka) as ids:
        position = build(
            plan, kafka, part.endpoints.dsn, ids, part.places, part.number,
            park=part.park, limits=part.limits, on_progress=pipe.send, stopped=pipe.poll,
        )  # fmt: skip
    return None if position is None else position.offsets


def _sum(progress: Sequence[Progress]) -> Progress:
    positions = {place: at for each in progress for place, at in each.positions.items()}
    return Progress(sum(each.done for each in progress), sum(each.total for each in progress), positions)


def _answer(answers: Sequence[Any], made: Plan) -> Position | None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    if not all(answers):
        return None
    return Position({place: at for answer in answers for place, at in answer.items()}, dict(made.topic_ids))
