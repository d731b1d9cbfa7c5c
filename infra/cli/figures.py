"""`kafold figures`: commands, rejections and events per minute by type, as the workers count them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from streams.watching.figures import Tally

MINUTES_MAX = 60


def figures(
    ctx: typer.Context,
    minutes: Annotated[int, typer.Option(min=1, max=MINUTES_MAX, help="How many minutes, each a column.")] = 5,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A worker's web, once for each.", show_default="those of `kafold up`"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known, as JSON.")] = False,
) -> None:
    """Show commands, rejections and events per minute by type: the last minutes, and the sum of the hour."""
    import time

    from infra.cli.console import ERR, OUT, print_json
    from infra.figures import figures_of, workers_among
    from infra.watching import addresses_in
    from streams.watching.figures import facts

    addresses = at or workers_among(addresses_in(invocation(ctx).settings().home))
    found = figures_of(addresses)
    if as_json:
        print_json({"workers": addresses, "silent": found.silent, "figures": facts(found.tally)})
        return
    for address in found.silent:
        ERR.print(f"[yellow]The worker at {address} does not answer: what it owns is missing.[/yellow]")
    if not addresses:
        OUT.print("No worker is known here: `kafold up` starts one, and --at names one elsewhere.")
    elif not found.tally:
        OUT.print("Nothing happened in the last hour.")
    else:
        OUT.print(_table(found.tally, int(time.time()) // 60 * 60, minutes))


def _table(tally: Tally, newest: int, minutes: int) -> object:
    from datetime import UTC, datetime

    from rich.markup import escape
    from rich.table import Table

    from streams.watching.figures import MINUTE_S

    shown = [newest - MINUTE_S * back for back in reversed(range(minutes))]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "type", ""):
        table.add_column(heading)
    for minute in shown:
        table.add_column(datetime.fromtimestamp(minute, UTC).strftime("%H:%M"), justify="right")
    table.add_column("hour", justify="right")
    before = None
    for what in sorted({what for _, what in tally}):
        numbers = [tally.get((minute, what), 0) for minute in shown]
        hour = sum(number for (_, counted), number in tally.items() if counted == what)
        kind = what.kind if what.kind != before else ""
        before = what.kind
        cells = (f"{number:,}" if number else "[dim]·[/dim]" for number in numbers)
        table.add_row(kind, escape(what.type), escape(what.detail), *cells, f"{hour:,}")
    return table
