"""The lifeline: a child lives as long as its owner wants and never longer."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.lifeline import GuardedProcess, Launch
from infra.waiting import wait_until
from tests.infra.processes import FOREVER, STUBBORN, is_alive, python

ROOT = Path(__file__).parents[2]
OWNER = """
import os, signal, sys
from pathlib import Path
from infra.lifeline import GuardedProcess, Launch
child = GuardedProcess.start(Launch({argv!r}, Path({log!r}), signal.SIGTERM, 5.0))
{then}
print(child.pid, flush=True)
signal.pause()
"""


def launch(argv: list[str], log: Path, grace_s: float = 5.0) -> Launch:
    return Launch(argv, log, signal.SIGTERM, grace_s)


@contextmanager
def owner(log: Path, then: str = "") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that owns a child; its process and the child's id."""
    code = OWNER.format(argv=FOREVER, log=str(log), then=then)
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


def test_a_child_is_stopped_and_its_output_kept(tmp_path: Path) -> None:
    code = "import signal; print('hello', flush=True); signal.pause()"
    child = GuardedProcess.start(launch(python(code), tmp_path / "log"))
    assert wait_until(lambda: "hello" in child.log_tail(), 10)
    assert child.pid is not None
    child.stop()
    assert not is_alive(child.pid)
    assert child.wait() == 128 + signal.SIGTERM


def test_a_deaf_child_is_killed_after_its_grace(tmp_path: Path) -> None:
    child = GuardedProcess.start(launch(STUBBORN, tmp_path / "log", grace_s=0.1))
    assert wait_until(lambda: "deaf" in child.log_tail(), 10)
    child.stop()
    assert child.wait() == 128 + signal.SIGKILL


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    child = GuardedProcess.start(launch(["/no/such/program"], tmp_path / "log"))
    assert child.pid is None
    assert child.wait() != 0
    assert "/no/such/program" in child.log_tail()
    child.stop()


def test_the_exit_code_comes_through(tmp_path: Path) -> None:
    child = GuardedProcess.start(launch(python("raise SystemExit(7)"), tmp_path / "log"))
    assert child.wait() == 7
    child.stop()


def test_a_killed_owner_takes_its_child_along(tmp_path: Path) -> None:
    with owner(tmp_path / "log") as (process, child):
        assert is_alive(child)
        process.kill()
        assert wait_until(lambda: not is_alive(child), 10)


def test_a_fork_that_holds_the_pipe_does_not_keep_the_child(tmp_path: Path) -> None:
    fork = "if os.fork() == 0:\n    os.close(1); signal.alarm(20); signal.pause()"
    with owner(tmp_path / "log", fork) as (process, child):
        process.kill()
        assert wait_until(lambda: not is_alive(child), 10)
        os.killpg(process.pid, signal.SIGKILL)  # the fork, in the session that this test made


def test_a_killed_guardian_takes_its_child_along(tmp_path: Path) -> None:
    child = GuardedProcess.start(launch(FOREVER, tmp_path / "log"))
    assert child.pid is not None
    parent = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(child.pid or 0), 10)
    child.stop()


def test_ctrl_c_in_a_terminal_does_not_reach_the_child(tmp_path: Path) -> None:
    with owner(tmp_path / "log") as (process, child):
        assert os.getpgid(child) != os.getpgid(process.pid)
        assert os.getsid(child) != os.getsid(process.pid)
