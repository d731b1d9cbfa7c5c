"""The progress bar of a replay: how much of the log, how fast, how long still, and where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.replay.running import Progress


@contextmanager
def bar(name: str) -> Iterator[Callable[[Progress], None]]:
    """A bar on standard error; where nobody looks at it, a line every few seconds."""
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from infra.cli.console import ERR

    began, told = time.monotonic(), [time.monotonic()]
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(), TextColumn("[dim]{task.fields[place]}"),
    )  # fmt: skip
    with Bar(*columns, console=ERR, transient=True, disable=not ERR.is_terminal, get_time=time.monotonic) as shown:
        task = shown.add_task(name, total=None, speed="", place="")

        def on_progress(progress: Progress) -> None:
            seconds = max(time.monotonic() - began, 1e-3)
            speed = f"{progress.done / seconds:,.0f}/s"
            place = " ".join(f"{partition}={at}" for (_, partition), at in sorted(progress.positions.items()))
            shown.update(task, completed=progress.done, total=progress.total, speed=speed, place=place[:60])
            if not ERR.is_terminal and time.monotonic() - told[0] > LINE_S:
                told[0] = time.monotonic()
                left = (progress.total - progress.done) * seconds / max(progress.done, 1)
                ERR.print(f"{name}: {progress.done:,} of {progress.total:,}, {speed}, {left:,.0f} s left, at {place}")

        yield on_progress


LINE_S = 2.0
