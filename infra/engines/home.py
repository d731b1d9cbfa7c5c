"""Engine home: the folder of one engine, who holds it, and where the engine listens.

The lock file is the truth about who holds it. It is locked by ``flock``, and the guardian and the engine inherit the
locked descriptor; so the lock is free exactly when no process of that engine is alive, however the owner died. Whoever
gets the lock may therefore clear away what a killed engine left behind (``postmaster.pid`` and the like).

The state file tells others where the engine listens. It counts only while the lock is held and ``ready`` is set; after
that it is a hint which ports to take again.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class EngineState:
    """Where an engine listens; ``ports[0]`` is the one that clients use."""

    owner_pid: int
    ports: tuple[int, ...]
    ready: bool


class EngineHome:
    """The folder of one engine, its lock and its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state_file = folder / "engine.json"
        self._lock_fd: int | None = None

    def try_lock(self) -> int | None:
        """Take the lock; its descriptor, for the engine to inherit, or None when another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "engine.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        self._lock_fd = descriptor
        return descriptor

    def unlock(self) -> None:
        """Close this process's share of the lock. Never LOCK_UN: that would take it from the engine as well."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def read_state(self) -> EngineState | None:
        """The last state written, or None when there is none that can be read."""
        try:
            values = json.loads(self._state_file.read_text(encoding="utf-8"))
            return EngineState(int(values["owner_pid"]), tuple(map(int, values["ports"])), bool(values["ready"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_state(self, state: EngineState) -> None:
        """Replace the state in one step, so that nobody reads half of it."""
        draft = self._state_file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(state)), encoding="utf-8")
        draft.replace(self._state_file)
