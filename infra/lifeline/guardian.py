"""Guardian: a small process between kafold and one child, which ends the child when kafold is gone.

Theory. The owner starts the guardian with a pipe as its standard input and never writes to it. The guardian starts the
child, reports its process id, and waits for the first of four things:

=====================  ===============================================
what it sees           what it means
=====================  ===============================================
end of the pipe        the owner closed it, or died, by kill -9 too
another parent         the owner died, but a fork of it holds the pipe
SIGTERM, INT, HUP      somebody asks the guardian itself to stop
the child's end        it stopped or crashed by itself
=====================  ===============================================

It then sends the child its stop signal, waits out the grace time, and kills it. The guardian leads its own session, so
that Ctrl-C reaches the owner alone, who stops things in order. Should the guardian itself be killed, Linux sends the
child SIGTERM (PR_SET_PDEATHSIG). Its exit code is the child's, or 128 + n when signal n ended the child.

It runs by path as ``python -IS guardian.py`` and imports the standard library only, which keeps it small and quick.
"""

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

_STDIN = 0
_PR_SET_PDEATHSIG = 1
_OWNER_CHECK_INTERVAL_S = 1.0
_STOPPING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """Run one child for as long as its owner lives."""
    options = _options()
    asked: list[int] = []
    wake = _wake_on_signals(asked)
    child = subprocess.Popen(
        options.child,
        stdin=subprocess.DEVNULL,
        pass_fds=options.keep_fd,
        user=options.uid,
        group=options.gid,
        extra_groups=None if options.uid is None else [],
        preexec_fn=_die_with_parent(),  # safe: the guardian has one thread only
    )
    _report(options.report_fd, child.pid)
    while child.poll() is None and not asked and os.getppid() == options.owner:
        if _owner_hung_up(wake):
            break
    return _stop(child, options.stop_signal, options.grace_s)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--stop-signal", type=int, required=True)
    parser.add_argument("--grace-s", type=float, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--keep-fd", type=int, action="append", default=[])
    parser.add_argument("child", nargs="+")
    return parser.parse_args()


def _report(descriptor: int, pid: int) -> None:
    with os.fdopen(descriptor, "w") as report:
        report.write(f"{pid}\n")


def _wake_on_signals(asked: list[int]) -> int:
    """A file descriptor that is readable after any signal, so that one select waits for everything."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in _STOPPING_SIGNALS:
        signal.signal(number, note)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return reader


def _owner_hung_up(wake: int) -> bool:
    readable, _, _ = select.select([_STDIN, wake], [], [], _OWNER_CHECK_INTERVAL_S)
    if wake in readable:
        os.read(wake, 512)
    return _STDIN in readable and not os.read(_STDIN, 512)


def _die_with_parent() -> Callable[[], None] | None:
    """Linux only; elsewhere the pipe alone must do."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork, where little is safe
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _stop(child: "subprocess.Popen[bytes]", stop_signal: int, grace_s: float) -> int:
    if child.poll() is None:
        child.send_signal(stop_signal)
    try:
        code = child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
