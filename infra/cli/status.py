"""`kafold status`: how far everything is, by topic, partition and projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.progress import Progress


def status(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show positions and lag: of the command processors, and of each projection."""
    from infra.cli.console import OUT, print_json
    from infra.preparing import kafka_at
    from infra.progress import processors_progress, projections_progress
    from infra.reaching import reaching

    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints:
        kafka = kafka_at(endpoints)
        commands = processors_progress(application, kafka)
        projections = projections_progress(application, kafka, endpoints.dsn)
    if as_json:
        facts = {"processors": commands, "projections": projections}
        print_json({name: [each.facts() for each in progress] for name, progress in facts.items()})
        return
    for progress in (commands, projections):
        OUT.print(_table(progress))
    lag = sum(each.lag for each in [*commands, *projections])
    OUT.print("[dim]An end counts the marker that closes a transaction; a position does not.[/dim]")
    OUT.print("[green]Nothing waits.[/green]" if not lag else f"[yellow]{lag:,} records wait.[/yellow]")


def _table(progress: Sequence[Progress]) -> object:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("reader", "topic", "partition", "position", "end", "lag"):
        table.add_column(heading, justify="left" if heading in {"reader", "topic"} else "right")
    before = None
    for each in progress:
        name = (each.reader, each.topic)
        reader, topic = name if name != before else ("", "")
        before = name
        style = "green" if not each.lag else "yellow"
        lag = f"[{style}]{each.lag:,}[/{style}]"
        table.add_row(reader, topic, str(each.partition), f"{each.position:,}", f"{each.end:,}", lag)
    return table
