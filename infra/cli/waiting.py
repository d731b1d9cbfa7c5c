"""A bar for work that reads the log: on standard error, gone when it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_of(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what is told how much of how much is done."""
    from rich.progress import Progress

    from infra.cli.console import ERR

    with Progress(console=ERR, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
