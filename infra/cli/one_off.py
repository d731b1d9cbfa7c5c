"""`kafold replay --projection`: what a projection that nobody registered makes of the log, in a table or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.one_off import Written


def one_off(
    ctx: typer.Context, projection: str | None, into: str | None, until: str | None, kind: str | None,
    others: Sequence[str], rows_max: int | None, *, park: bool, as_json: bool,
) -> None:  # fmt: skip
    """Fold, write, and say what came of it. `others`: options that were given and do not go with these."""
    from infra.cli.console import OUT, print_json
    from infra.cli.context import named
    from infra.cli.failures import INTERRUPTED
    from infra.cli.replay_bar import bar
    from infra.one_off import Asked, check_projection, write_one_off
    from infra.reaching import reaching
    from streams.replay.errors import Interrupted

    if projection is None:
        raise typer.BadParameter("name a projection, or one that nobody registered with --projection MODULE:NAME")
    if others:
        raise typer.BadParameter(f"{others[0]} does not go with --projection")
    if into is None:
        raise typer.BadParameter("--projection needs --into SCHEMA.TABLE, or --format and --into FILE")
    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    found = check_projection(named("--projection", projection), projection, application)
    asked = Asked(found, into, kind, until, park, rows_max)
    try:
        with reaching(settings) as endpoints, bar(found.name) as on_progress:
            written = write_one_off(application, settings, endpoints, asked, on_progress)
    except (Interrupted, KeyboardInterrupt):
        OUT.print(f"stopped: {into} was not made, and nothing is left to remove", markup=False)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({**written.facts(), "events_a_s": round(written.events / written.seconds)})
    else:
        _say(written)


def _say(written: Written) -> None:
    from infra.cli.console import OUT

    speed = f"{written.events:,} offsets in {written.seconds:.1f} s, {written.events / written.seconds:,.0f} a second"
    OUT.print(f"[green]✓[/green] {written.rows:,} rows of {written.projection} ({speed})")
    OUT.print(f"  in {written.into}", markup=False)
    OUT.print(f"  at {written.position}" + (f", until {written.until}" if written.until else ""), markup=False)
    if written.parked:
        OUT.print(f"  [yellow]{written.parked:,} keys lack events that could not be folded[/yellow]")
