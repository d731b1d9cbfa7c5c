"""`kafold up`: everything of an application in one supervised group, until Ctrl-C."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from infra.running import Running
    from infra.supervisor import PartStatus
    from infra.watching import PartHealth

ASK_S = 1.0
PHASE_STYLE = {"running": "green", "waiting": "yellow", "stopping": "yellow", "stopped": "dim"}


def up(
    ctx: typer.Context,
    processors: Annotated[int, typer.Option(min=1, help="How many command processors.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="How many workers.")] = 1,
) -> None:
    """Run everything: engines, command processors, workers and the read API. Ctrl-C stops it in order."""
    from infra.cli.console import OUT, note
    from infra.running import Sizes, running

    told = invocation(ctx)
    sizes = Sizes(processors, workers)
    with running(told.target, told.application(), told.settings(), sizes, note) as everything:
        if OUT.is_terminal:
            _watch(everything)
        else:
            _report(everything)
        note("stopping (read API, workers, processors, engines)")


def _watch(everything: Running) -> None:
    """Show one line a part for as long as it runs, kept up to date."""
    from rich.live import Live

    from infra.cli.console import OUT
    from infra.watching import ask_all

    healths: dict[str, PartHealth] = {}
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(ASK_S):
            healths.update({each.part: each for each in ask_all(everything.watched)})

    threading.Thread(target=ask, name="health", daemon=True).start()
    try:
        with Live(get_renderable=lambda: _picture(everything, healths), console=OUT, refresh_per_second=2):
            everything.group.run()
    finally:
        ended.set()


def _report(everything: Running) -> None:
    """Print where everything is, and a line for each change after that."""
    for line in _addresses(everything):
        sys.stdout.write(f"{line[0]} {line[1]}\n")
    shown: dict[str, str] = {}

    def tell() -> None:
        for part in everything.group.status():
            line = f"{part.name} {_state(part)}"
            if shown.get(part.name) != line:
                shown[part.name] = line
                sys.stdout.write(line + "\n")
        sys.stdout.flush()

    tell()
    everything.group.run(tell)


def _picture(everything: Running, healths: Mapping[str, PartHealth]) -> RenderableType:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    from infra.cli.status import lag_text

    where = Table.grid(padding=(0, 2))
    for name, address in _addresses(everything):
        where.add_row(f"[dim]{name}[/dim]", address)
    parts = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("part", "state", "pid", "for", "restarts", "lag", "health"):
        parts.add_column(heading, justify="left" if heading in {"part", "state", "health"} else "right")
    for part in everything.group.status():
        style = PHASE_STYLE[part.phase.value]
        parts.add_row(
            part.name,
            f"[{style}]● {part.phase.value}[/{style}]",
            str(part.pid or ""),
            _span(part.for_s),
            f"{part.restarts}" + (f" [dim](last exit code {part.exit_code})[/dim]" if part.restarts else ""),
            lag_text(healths[part.name]) if part.name in healths else "",
            escape(healths[part.name].reason) if part.name in healths else "",
        )
    return Group(where, "", parts, "", "[dim]Ctrl-C stops everything in order.[/dim]")


def _addresses(everything: Running) -> list[tuple[str, str]]:
    return [
        ("Kafka", everything.endpoints.bootstrap_servers),
        ("read API", f"{everything.api_url}/docs"),
        ("SQL", everything.psql),
        *((f"{part} metrics", f"{address}/metrics") for part, address in everything.watched.items()),
    ]


def _state(part: PartStatus) -> str:
    pid = f" (process {part.pid})" if part.pid else ""
    restarts = f", {part.restarts} restarts, last exit code {part.exit_code}" if part.restarts else ""
    return f"{part.phase.value}{pid}{restarts}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
