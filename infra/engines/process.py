"""Engine process: the owner's end of a guardian and the engine that it guards.

``start`` returns at once; the engine lives until ``stop`` or until this process dies, however it dies. The log file
gets everything that the engine prints.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_GUARDIAN = Path(__file__).with_name("guardian.py")
_GUARDIAN_MARGIN_S = 5.0
_LOG_BYTES_MAX = 10 * 1024 * 1024
_TAIL_BYTES = 8 * 1024


@dataclass(frozen=True)
class Identity:
    """The system user that an engine runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Launch:
    """All that is needed to start an engine's process.

    ``grace_s`` is how long it may take to stop after ``stop_signal`` before it is killed.
    """

    argv: Sequence[str]
    log: Path
    stop_signal: int
    grace_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    identity: Identity | None = None


class EngineProcess:
    """A running engine under its guardian."""

    def __init__(self, guardian: "subprocess.Popen[bytes]", launch: Launch) -> None:
        self._guardian = guardian
        self._launch = launch

    @classmethod
    def start(cls, launch: Launch, lock_fd: int) -> Self:
        """Start the engine; it inherits ``lock_fd``, so the home stays locked for as long as the engine lives."""
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        _roll(launch.log)
        with launch.log.open("ab") as log:
            guardian = subprocess.Popen(
                _guardian_argv(launch, lock_fd),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **launch.environment},
                pass_fds=[lock_fd],
                start_new_session=True,
            )
        return cls(guardian, launch)

    @property
    def log(self) -> Path:
        """Where the engine's output goes."""
        return self._launch.log

    def has_ended(self) -> bool:
        """Whether the engine is gone."""
        return self._guardian.poll() is not None

    def ask_to_stop(self) -> None:
        """Let the lifeline go; returns at once."""
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()

    def stop(self) -> None:
        """Stop the engine and wait for its end, at most its grace time and a little."""
        self.ask_to_stop()
        try:
            self._guardian.wait(self._launch.grace_s + _GUARDIAN_MARGIN_S)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of the log."""
        with self._launch.log.open("rb") as log:
            log.seek(max(0, self._launch.log.stat().st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-lines:])


def _guardian_argv(launch: Launch, lock_fd: int) -> list[str]:
    argv = [sys.executable, "-I", str(_GUARDIAN), f"--owner={os.getpid()}", f"--keep-fd={lock_fd}"]
    argv += [f"--stop-signal={launch.stop_signal}", f"--grace-s={launch.grace_s}"]
    if launch.identity is not None:
        argv += [f"--uid={launch.identity.uid}", f"--gid={launch.identity.gid}"]
    return [*argv, "--", *launch.argv]


def _roll(log: Path) -> None:
    """Engines log little; a file that grew big all the same is kept once."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".old.log"))
