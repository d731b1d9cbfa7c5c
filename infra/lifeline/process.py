"""Guarded process: the owner's end of a guardian and the child that it guards.

``start`` returns when the child runs (or could not be started: then ``pid`` is None and the log says why). The child
lives until ``stop``, until it ends by itself, or until this process dies. Its log file gets all that it prints.
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
    """The system user that a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Launch:
    """All that is needed to start a child.

    ``grace_s`` is how long it may take to stop after ``stop_signal`` before it is killed.
    """

    argv: Sequence[str]
    log: Path
    stop_signal: int
    grace_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    identity: Identity | None = None


class GuardedProcess:
    """A running child under its guardian."""

    def __init__(self, guardian: "subprocess.Popen[bytes]", pid: int | None, launch: Launch) -> None:
        self.pid = pid
        self._guardian = guardian
        self._launch = launch

    @classmethod
    def start(cls, launch: Launch, inherit_fd: int | None = None) -> Self:
        """Start the child; it inherits ``inherit_fd`` (a lock that shall be held for as long as the child lives)."""
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        _roll(launch.log)
        report, report_fd = os.pipe()
        kept = [] if inherit_fd is None else [inherit_fd]
        try:
            with launch.log.open("ab") as log:
                guardian = subprocess.Popen(
                    _guardian_argv(launch, report_fd, kept),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **launch.environment},
                    pass_fds=[report_fd, *kept],
                    start_new_session=True,
                )
        finally:
            os.close(report_fd)
        with os.fdopen(report) as line:
            pid = line.readline()
        return cls(guardian, int(pid) if pid else None, launch)

    @property
    def log(self) -> Path:
        """Where the child's output goes."""
        return self._launch.log

    def has_ended(self) -> bool:
        """Whether the child is gone."""
        return self._guardian.poll() is not None

    def wait(self) -> int:
        """Block until the child is gone; its exit code, 128 + n after signal n."""
        return self._guardian.wait()

    def ask_to_stop(self) -> None:
        """Let the lifeline go; returns at once."""
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()

    def stop(self) -> None:
        """Stop the child and wait for its end, at most its grace time and a little."""
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


def _guardian_argv(launch: Launch, report_fd: int, kept: Sequence[int]) -> list[str]:
    argv = [sys.executable, "-IS", str(_GUARDIAN), f"--owner={os.getpid()}", f"--report-fd={report_fd}"]
    argv += [f"--stop-signal={int(launch.stop_signal)}", f"--grace-s={launch.grace_s}"]
    argv += [f"--keep-fd={descriptor}" for descriptor in kept]
    if launch.identity is not None:
        argv += [f"--uid={launch.identity.uid}", f"--gid={launch.identity.gid}"]
    return [*argv, "--", *launch.argv]


def _roll(log: Path) -> None:
    """Children log little; a file that grew big all the same is kept once."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".old.log"))
