"""`kafold demo`: the whole way of the data on real input, in one go.

The group runs in the main thread, which gets the signals; the demo's own work is done beside it in another.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import SAMPLE, Invocation, invocation
from infra.cli.failures import NO

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.running import Running


def demo(
    ctx: typer.Context,
    processors: Annotated[int, typer.Option(min=1, help="How many command processors.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="How many workers.")] = 1,
) -> None:
    """Load 23,570 customers' purchases through Kafka, and check what the projections make of them."""
    from infra.cli.console import ERR, OUT, note
    from infra.demo.story import Story
    from infra.running import Sizes, running

    told = Invocation(SAMPLE, invocation(ctx).debug)
    application = told.application()
    OUT.print("[bold]kafold demo[/bold]  the purchases of CDNOW's customers, 1997-01 to 1998-06, through Kafka\n")
    with running(told.target, application, told.settings(), Sizes(processors, workers), note) as everything:
        story = Story(application, everything, OUT, ERR)
        right = _beside(everything, story.tell)
        note("stopping")
    if not right:
        raise typer.Exit(NO)


def _beside(everything: Running, work: Callable[[], bool]) -> bool:
    """Do the work while the group is kept running. Ctrl-C ends both."""
    ended: list[bool | Exception] = []

    def do() -> None:
        try:
            ended.append(work())
        except Exception as error:  # noqa: BLE001 - it is raised again, in the main thread
            ended.append(error)
        finally:
            everything.group.stop()

    threading.Thread(target=do, name="demo", daemon=True).start()
    everything.group.run()
    if not ended:
        raise KeyboardInterrupt
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]
