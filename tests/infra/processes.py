"""Help for tests of processes: Python one-liners as children, and whether a process still lives."""

import sys
from pathlib import Path


def python(code: str) -> list[str]:
    """The command that runs this code; -S makes it start quickly."""
    return [sys.executable, "-IS", "-c", code]


FOREVER = python("import signal; signal.pause()")
STUBBORN = python(
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
)


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
