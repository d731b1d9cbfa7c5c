"""Processors as child processes, by slot: started, killed, told to stop, started again. They end with the test."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.fixtures.shop import PARTITIONS

STOP_S_MAX = 30.0


class Processors:
    """The processors of one application. A slot's local state is in `folder / str(slot)`, its log beside it."""

    def __init__(self, application: str, bootstrap_servers: str, folder: Path) -> None:
        """Start nothing yet."""
        self.application, self.bootstrap_servers, self.folder = application, bootstrap_servers, folder
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, slot: int, *fault: object) -> "subprocess.Popen[bytes]":
        """Start the processor of a slot; `fault`: the step and the number of the commit at which it kills itself.

        With "stop" it stops there, until it is resumed.
        """
        arguments = [self.application, self.bootstrap_servers, PARTITIONS, self.state(slot), slot, *fault]
        with (self.folder / f"processor-{slot}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.processor_child", *map(str, arguments)], stdout=log, stderr=log
            )
        self.running[slot] = child
        self._all.append(child)
        return child

    def last_words(self, slot: int) -> str:
        """Return the end of a slot's log, for a test that has to say why it ended."""
        return (self.folder / f"processor-{slot}.log").read_text(errors="replace")[-2_000:]

    def kill(self, slot: int) -> None:
        """End one as nothing but kill -9 does."""
        self.running[slot].kill()
        self.running.pop(slot).wait()

    def stop(self, slot: int) -> int:
        """Tell one to stop, and return its exit code."""
        self.running[slot].terminate()
        return self.running.pop(slot).wait(STOP_S_MAX)

    def suspend(self, slot: int) -> None:
        """Stop one where it stands."""
        os.kill(self.running[slot].pid, signal.SIGSTOP)

    def is_suspended(self, slot: int) -> bool:
        """Whether one has stopped where it stands."""
        return Path(f"/proc/{self.running[slot].pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def resume(self, slot: int) -> None:
        """Let a suspended one go on."""
        os.kill(self.running[slot].pid, signal.SIGCONT)

    def revive(self) -> None:
        """Start again those that have ended by themselves, as a supervisor does."""
        for slot, child in list(self.running.items()):
            if child.poll() is not None:
                self.start(slot)

    def state(self, slot: int) -> Path:
        """The folder of a slot's local state."""
        return self.folder / str(slot)

    def log(self) -> str:
        """What all of them have said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("processor-*.log")))

    def close(self) -> None:
        """End all of them."""
        for child in self._all:
            child.kill()
            child.wait()
