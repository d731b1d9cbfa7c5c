"""`kafold status`: how far everything is, by topic, partition and projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.progress import Progress
    from infra.watching import PartHealth


def status(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show positions and lag: of each part that `kafold up` runs, of all processors, and of each projection."""
    from infra.cli.console import OUT, print_json
    from infra.preparing import kafka_at
    from infra.progress import processors_progress, projections_progress
    from infra.reaching import reaching
    from infra.watching import addresses_in, ask_all

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    with reaching(settings) as endpoints:
        kafka = kafka_at(endpoints)
        commands = processors_progress(application, kafka)
        projections = projections_progress(application, kafka, endpoints.dsn)
    parts = ask_all(addresses_in(settings.home))
    if as_json:
        facts: dict[str, Sequence[Progress | PartHealth]] = {
            "processors": commands, "projections": projections, "parts": parts,
        }  # fmt: skip
        print_json({name: [each.facts() for each in progress] for name, progress in facts.items()})
        return
    if parts:
        OUT.print(_parts(parts))
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


def _parts(parts: Sequence[PartHealth]) -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("part", "watched at", "lag", "state"):
        table.add_column(heading)
    for each in parts:
        style = "green" if each.ready else "red"
        table.add_row(each.part, each.address, lag_text(each), f"[{style}]{escape(each.reason)}[/{style}]")
    return table


def lag_text(health: PartHealth) -> str:
    """Return a part's lag for people."""
    if health.lag_offsets is None:
        return ""
    return f"{health.lag_offsets:,}" + (f" ({health.lag_seconds:.1f} s)" if health.lag_offsets else "")
