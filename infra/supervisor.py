"""Supervisor: keeps a group of child processes running, and stops them in order.

Parts start in the order given; one that ends is started again after a wait that grows (:mod:`infra.restarts`); SIGINT
and SIGTERM stop them in reverse order, each with a grace time before it is killed. Each part prints into its own log
file. Parts die with the supervisor, by kill -9 too (:mod:`infra.lifeline`).

``with Supervisor(parts, logs) as group: group.run()`` blocks until a signal or ``group.stop()``; ``status()`` may be
asked meanwhile, from any thread.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Self

from infra.lifeline import GuardedProcess, Launch
from infra.restarts import PartState, Phase, RestartPolicy, ended, first_state, started, stopping


@dataclass(frozen=True)
class Part:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PartStatus:
    """One part as a person may see it."""

    name: str
    phase: Phase
    pid: int | None
    for_s: float
    restarts: int
    exit_code: int | None
    log: Path


@dataclass(frozen=True)
class _Ended:
    name: str
    exit_code: int


class Supervisor:
    """Runs a group of parts; a context manager, which starts them and stops what runs at its end."""

    def __init__(
        self, parts: Sequence[Part], logs: Path, policy: RestartPolicy | None = None, grace_s: float = 10.0
    ) -> None:
        self._parts = {part.name: part for part in parts}
        self._logs = logs
        self._policy = policy or RestartPolicy()
        self._grace_s = grace_s
        self._states: dict[str, PartState] = {name: first_state(time.monotonic()) for name in self._parts}
        self._processes: dict[str, GuardedProcess] = {}
        self._news: SimpleQueue[_Ended | None] = SimpleQueue()  # None: stop

    def __enter__(self) -> Self:
        try:
            self._start_due()
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_all()

    def run(self, on_change: Callable[[], None] | None = None) -> None:
        """Keep the parts running until SIGINT, SIGTERM or ``stop``. Call it in the main thread, which gets signals.

        Args:
            on_change: called after each end and each start of a part.
        """
        with _signals_to(self.stop):
            while self._wait_for_news():
                self._start_due()
                if on_change is not None:
                    on_change()

    def stop(self) -> None:
        """Make ``run`` return; from any thread, or from a signal handler."""
        self._news.put(None)

    def status(self) -> list[PartStatus]:
        """Every part, in order."""
        now = time.monotonic()
        return [self._status(name, state, now) for name, state in list(self._states.items())]

    def _status(self, name: str, state: PartState, now: float) -> PartStatus:
        process = self._processes.get(name) if state.phase in {Phase.RUNNING, Phase.STOPPING} else None
        pid = process.pid if process is not None else None
        return PartStatus(
            name, state.phase, pid, now - state.since, state.restarts, state.exit_code, self._log_of(name)
        )

    def _wait_for_news(self) -> bool:
        """Until a part ends or one is due; false when it is time to stop."""
        due_at = min((s.start_at for s in self._states.values() if s.phase is Phase.WAITING), default=None)
        timeout = None if due_at is None else max(0.0, due_at - time.monotonic())
        try:
            news = self._news.get(timeout=timeout)
        except Empty:
            return True
        if news is not None:
            self._note_end(news)
        return news is not None

    def _note_end(self, news: _Ended) -> None:
        self._processes[news.name].stop()  # it has ended: this lets go of what the system holds for it
        self._states[news.name] = ended(self._states[news.name], news.exit_code, time.monotonic(), self._policy)

    def _start_due(self) -> None:
        for name, state in self._states.items():
            if state.is_due(time.monotonic()):
                self._start(self._parts[name])

    def _start(self, part: Part) -> None:
        launch = Launch(part.argv, self._log_of(part.name), signal.SIGTERM, self._grace_s, part.environment)
        process = GuardedProcess.start(launch)
        self._processes[part.name] = process
        self._states[part.name] = started(self._states[part.name], time.monotonic())
        threading.Thread(target=self._watch, args=(part.name, process), daemon=True).start()

    def _watch(self, name: str, process: GuardedProcess) -> None:
        self._news.put(_Ended(name, process.wait()))

    def _stop_all(self) -> None:
        for name in reversed(self._parts):
            state = self._states[name] = stopping(self._states[name], time.monotonic())
            if state.phase is Phase.STOPPING:
                self._processes[name].stop()
                self._note_end(_Ended(name, self._processes[name].wait()))

    def _log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"


@contextmanager
def _signals_to(stop: Callable[[], None]) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
