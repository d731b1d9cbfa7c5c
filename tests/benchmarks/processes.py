"""Processes: the parts of an application that a benchmark runs beside itself, each as it ships."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def process(module: str, *arguments: str) -> Iterator[Callable[[], None]]:
    """Run one of the benchmarks' modules, with a folder as its last argument; yield what raises when it has ended."""
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments, folder]
        running = subprocess.Popen(command, stdout=log, stderr=log)

        def check_alive() -> None:
            if running.poll() is not None:
                raise RuntimeError((Path(folder) / "log").read_text()[-2000:])

        try:
            yield check_alive
        finally:
            running.terminate()
            running.wait(60)
