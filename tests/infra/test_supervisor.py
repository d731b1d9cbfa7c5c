"""The supervisor with real processes. ``run`` needs the main thread, so another thread plays the person in front."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from infra.restarts import Phase, RestartPolicy
from infra.supervisor import Part, PartStatus, Supervisor
from infra.waiting import wait_until
from tests.infra.processes import FOREVER, STUBBORN, is_alive, python

QUICK = RestartPolicy(delay_s_first=0.01, delay_s_max=0.05)


def run_until(group: Supervisor, condition: Callable[[], bool]) -> bool:
    """Run the group until the condition holds; whether it came to hold."""
    held: list[bool] = []

    def watch() -> None:
        held.append(wait_until(condition, 15))
        group.stop()

    person = threading.Thread(target=watch)
    person.start()
    group.run()
    person.join()
    return held[0]


def part_of(group: Supervisor, name: str) -> PartStatus:
    return next(part for part in group.status() if part.name == name)


def test_parts_run_and_are_stopped(tmp_path: Path) -> None:
    with Supervisor([Part("one", FOREVER), Part("two", FOREVER)], tmp_path, QUICK) as group:
        pids = [part.pid for part in group.status()]
        assert all(is_alive(pid or 0) for pid in pids)
    assert not any(is_alive(pid or 0) for pid in pids)
    assert [part.phase for part in group.status()] == [Phase.STOPPED, Phase.STOPPED]


def test_a_killed_part_is_started_again(tmp_path: Path) -> None:
    with Supervisor([Part("one", FOREVER)], tmp_path, QUICK) as group:
        first = part_of(group, "one").pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert run_until(group, lambda: part_of(group, "one").restarts == 1)
        status = part_of(group, "one")
        assert status.phase is Phase.RUNNING
        assert status.pid not in {None, first}
        assert status.exit_code == 128 + signal.SIGKILL


def test_a_part_that_crashes_at_once_is_tried_again_and_again(tmp_path: Path) -> None:
    crash = Part("bad", python("print('no', flush=True); raise SystemExit(3)"))
    with Supervisor([crash, Part("good", FOREVER)], tmp_path, QUICK) as group:
        good = part_of(group, "good").pid
        assert run_until(group, lambda: part_of(group, "bad").restarts >= 3)
        assert part_of(group, "bad").exit_code == 3
        assert part_of(group, "good").pid == good
    assert (tmp_path / "bad.log").read_text().count("no") >= 3


def test_parts_stop_in_reverse_order(tmp_path: Path) -> None:
    said = tmp_path / "order"
    code = (
        "import signal, sys\n"
        "def bye(*_):\n"
        f"    open({str(said)!r}, 'a').write(sys.argv[1]); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye); print('up', flush=True); signal.pause()"
    )
    parts = [Part(name, [*python(code), name]) for name in "abc"]
    with Supervisor(parts, tmp_path, QUICK):
        assert wait_until(lambda: all("up" in (tmp_path / f"{name}.log").read_text() for name in "abc"), 10)
    assert said.read_text() == "cba"


def test_a_deaf_part_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    with Supervisor([Part("deaf", STUBBORN)], tmp_path, QUICK, grace_s=0.1) as group:
        pid = part_of(group, "deaf").pid or 0
        assert wait_until(lambda: "deaf" in (tmp_path / "deaf.log").read_text(), 10)
    assert not is_alive(pid)


def test_a_signal_ends_the_run_and_handlers_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    changes: list[int] = []
    with Supervisor([Part("one", FOREVER)], tmp_path, QUICK) as group:

        def signal_once_the_handler_is_there() -> None:
            wait_until(lambda: signal.getsignal(signal.SIGTERM) is not before, 10)
            os.kill(os.getpid(), signal.SIGTERM)

        person = threading.Thread(target=signal_once_the_handler_is_there)
        person.start()
        group.run(lambda: changes.append(1))
        person.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_environment_and_log_reach_the_part(tmp_path: Path) -> None:
    part = Part("env", python("import os; print(os.environ['COLOUR'])"), {"COLOUR": "green"})
    with Supervisor([part], tmp_path, QUICK):
        assert wait_until(lambda: "green" in (tmp_path / "env.log").read_text(), 10)
