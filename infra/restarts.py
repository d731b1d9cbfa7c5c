"""Restarts: when a part that ended is started again. Pure: the time comes in as an argument.

A part is in one of four phases:

===========  ============================  ==================================
phase        what ends it                  next
===========  ============================  ==================================
waiting      its time has come             running
running      the process ends              waiting, for longer each time
running      the supervisor stops          stopping
stopping     the process ends              stopped
===========  ============================  ==================================

A part is never given up: what it lacks (a broker, a database) may come back. The wait is bounded instead, and a run
that lasted long enough to be called healthy starts the count anew.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Phase(StrEnum):
    """Where a part is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class RestartPolicy:
    """How long to wait before the n-th start in a row."""

    delay_s_first: float = 0.25
    delay_s_max: float = 15.0
    healthy_after_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures in a row (1 or more): doubled each time, up to the maximum."""
        doublings = min(failures - 1, 32)  # more would overflow long after the maximum is reached
        return float(min(self.delay_s_first * 2**doublings, self.delay_s_max))


@dataclass(frozen=True)
class PartState:
    """What the supervisor knows of one part; ``since`` and ``start_at`` are on the caller's clock."""

    phase: Phase
    since: float
    start_at: float
    failures: int = 0
    restarts: int = 0
    exit_code: int | None = None

    def is_due(self, now: float) -> bool:
        """Whether to start it now."""
        return self.phase is Phase.WAITING and now >= self.start_at


def first_state(now: float) -> PartState:
    """A part that has never run."""
    return PartState(Phase.WAITING, since=now, start_at=now)


def started(state: PartState, now: float) -> PartState:
    """Its process runs."""
    again = state.exit_code is not None
    return replace(state, phase=Phase.RUNNING, since=now, restarts=state.restarts + again)


def ended(state: PartState, exit_code: int, now: float, policy: RestartPolicy) -> PartState:
    """Its process is gone. A clean exit counts as a failure too: a part is meant to run for good."""
    if state.phase is Phase.STOPPING:
        return replace(state, phase=Phase.STOPPED, since=now, exit_code=exit_code)
    healthy = now - state.since >= policy.healthy_after_s
    failures = 1 if healthy else state.failures + 1
    start_at = now + policy.delay_s(failures)
    return replace(state, phase=Phase.WAITING, since=now, start_at=start_at, failures=failures, exit_code=exit_code)


def stopping(state: PartState, now: float) -> PartState:
    """The supervisor wants it to end; one that does not run has nothing to end."""
    phase = Phase.STOPPING if state.phase is Phase.RUNNING else Phase.STOPPED
    return replace(state, phase=phase, since=now)
