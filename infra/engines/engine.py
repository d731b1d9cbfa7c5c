"""Engine: what the two embedded servers have in common, and how one of them is started or joined.

An engine belongs to a home. The first process that wants it starts and owns it; others of the same home join it; it
ends with its owner. ``join_or_start`` never waits for readiness, so that Kafka and PostgreSQL start side by side;
``await_ready`` does.
"""

import os
import subprocess
from collections.abc import Callable
from typing import Protocol

from infra.engines.errors import EngineStartError, EngineStoppedError, HomeInUseError, PortTakenError
from infra.engines.home import EngineHome, EngineState
from infra.engines.ports import free_port, is_free, is_listening
from infra.lifeline import GuardedProcess, Launch
from infra.waiting import wait_until

OnProgress = Callable[[str], None]

_START_TIMEOUT_S = 60.0
_JOIN_TIMEOUT_S = 180.0  # its owner may be downloading
_START_TRIES_MAX = 3


class Engine(Protocol):
    """One kind of server that can be embedded."""

    @property
    def name(self) -> str:
        """As a person knows it."""

    @property
    def port_wanted(self) -> int | None:
        """The client port that the settings ask for, if any."""

    @property
    def port_count(self) -> int:
        """How many ports it listens on; the first is the clients'."""

    @property
    def home(self) -> EngineHome:
        """Its folder."""

    def prepare(self, on_progress: OnProgress) -> None:
        """Fetch what is missing, make the data folder, clear away what a killed engine left. Called under the lock."""

    def launch(self, ports: tuple[int, ...]) -> Launch:
        """How to start it on these ports."""

    def answers(self, ports: tuple[int, ...]) -> bool:
        """Whether it is ready for work. Returns within some seconds."""


class OwnedEngine:
    """An engine that this process started and has to stop."""

    owned = True

    def __init__(self, engine: Engine, lock_fd: int, on_progress: OnProgress) -> None:
        self._engine = engine
        self._lock_fd = lock_fd
        self._on_progress = on_progress
        self._tries = 0
        self._process, self.ports = self._launch()

    def await_ready(self) -> None:
        """Block until the engine answers.

        Raises:
            EngineStartError: it ended or stayed silent; its log's last lines are in the text.
        """
        while not self._is_up():
            self.stop_process()
            if self._tries >= _START_TRIES_MAX or not self._lost_its_port():
                raise EngineStartError(self._why_not_started())
            self._process, self.ports = self._launch()
        self._write_state(ready=True)

    def ask_to_stop(self) -> None:
        """Begin to stop; returns at once."""
        self._process.ask_to_stop()

    def stop(self) -> None:
        """Stop the engine, wait for its end and give the home free."""
        self.stop_process()
        self._engine.home.unlock()

    def stop_process(self) -> None:
        """Stop the engine but keep the home."""
        self._process.stop()

    def check(self) -> None:
        """Raise EngineStoppedError when the engine has crashed."""
        if self._process.has_ended():
            raise EngineStoppedError(
                f"{self._engine.name} has ended by itself; its log ends with:\n{self._process.log_tail()}\n"
                f"The whole log is in {self._process.log}. Start kafold again; the data is kept."
            )

    def _launch(self) -> tuple[GuardedProcess, tuple[int, ...]]:
        self._tries += 1
        self.ports = _choose_ports(self._engine)
        self._write_state(ready=False)
        self._on_progress(f"starting {self._engine.name} on port {self.ports[0]}")
        return GuardedProcess.start(self._engine.launch(self.ports), self._lock_fd), self.ports

    def _is_up(self) -> bool:
        def settled() -> bool:
            return self._process.has_ended() or self._engine.answers(self.ports)

        return wait_until(settled, _START_TIMEOUT_S) and not self._process.has_ended()

    def _lost_its_port(self) -> bool:
        """Another process was faster between the choice of the port and the engine's bind."""
        return self._engine.port_wanted is None and not all(map(is_free, self.ports))

    def _why_not_started(self) -> str:
        return (
            f"{self._engine.name} did not start; its log ends with:\n{self._process.log_tail()}\n"
            f"The whole log is in {self._process.log}."
        )

    def _write_state(self, *, ready: bool) -> None:
        self._engine.home.write_state(EngineState(os.getpid(), self.ports, ready))


class JoinedEngine:
    """An engine that another process of the same home owns."""

    owned = False

    def __init__(self, engine: Engine, ports: tuple[int, ...]) -> None:
        self.ports = ports
        self._engine = engine

    def await_ready(self) -> None:
        """It was ready when it was joined."""

    def check(self) -> None:
        """Raise EngineStoppedError when its owner has stopped it, or it has crashed."""
        if not is_listening(self.ports[0]):
            raise EngineStoppedError(
                f"{self._engine.name} has ended: the process that started it stopped it. Start kafold again."
            )

    def ask_to_stop(self) -> None:
        """Its owner stops it."""

    def stop(self) -> None:
        """Its owner stops it."""


RunningEngine = OwnedEngine | JoinedEngine


def join_or_start(engine: Engine, on_progress: OnProgress) -> RunningEngine:
    """Join the engine of this home, or start it when nobody runs it.

    Raises:
        EngineError: of the kind that fits.
    """
    found: list[RunningEngine] = []

    def settle() -> bool:
        lock_fd = engine.home.try_lock()
        if lock_fd is not None:
            found.append(_start(engine, lock_fd, on_progress))
        elif (state := engine.home.read_state()) is not None and state.ready and engine.answers(state.ports):
            found.append(JoinedEngine(engine, state.ports))
        return bool(found)

    if not settle():
        on_progress(f"waiting for {engine.name}, which another process starts or stops")
    if not found and not wait_until(settle, _JOIN_TIMEOUT_S):
        raise HomeInUseError(_who_holds(engine))
    return found[0]


def _start(engine: Engine, lock_fd: int, on_progress: OnProgress) -> OwnedEngine:
    try:
        engine.prepare(on_progress)
        return OwnedEngine(engine, lock_fd, on_progress)
    except BaseException as error:
        engine.home.unlock()
        if isinstance(error, OSError | subprocess.SubprocessError):
            raise EngineStartError(
                f"{engine.name} cannot be prepared in {engine.home.folder}: {error}. "
                "See to its disk space and permissions, or use another home (KAFOLD_HOME)."
            ) from error
        raise


def _choose_ports(engine: Engine) -> tuple[int, ...]:
    """The ports of last time where they are free, so that clients and bookmarks stay valid."""
    wanted = engine.port_wanted
    if wanted is not None and not is_free(wanted):
        raise PortTakenError(
            f"port {wanted} for {engine.name} is taken: end the process that has it, or set another port."
        )
    state = engine.home.read_state()
    last = state.ports if state is not None and len(state.ports) == engine.port_count else (0,) * engine.port_count
    ports = [port if port and is_free(port) else free_port() for port in last]
    if wanted is not None:
        ports[0] = wanted
    return tuple(ports)


def _who_holds(engine: Engine) -> str:
    state = engine.home.read_state()
    owner = f"process {state.owner_pid}" if state is not None else "another process"
    return (
        f"{engine.name} of {engine.home.folder.parent} is held by {owner}, but it does not answer: "
        "end that process, or use another home (KAFOLD_HOME)."
    )
