"""`kafold projections cutover`, `rollback`, `drop`: which version readers see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation
from infra.cli.replay import AsJson, Name, Timeout, VersionOption

if TYPE_CHECKING:
    from streams.replay.cutover import Switched

WithParked = Annotated[bool, typer.Option("--with-parked", help="Although keys of it are parked.")]


def cutover(
    ctx: typer.Context,
    name: Name,
    version: VersionOption = None,
    with_parked: WithParked = False,
    timeout_s: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Let readers see the newest version, once it is where the old one is. The old one is folded on until `drop`."""
    from infra.reaching import reaching
    from streams.replay.cutover import cutover as switch

    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints:
        known = application.projection(name).name  # not a process manager, which has versions too
        switched = switch(endpoints.dsn, application.name, known, version, timeout_s, with_parked=with_parked)
    _show(switched, f"kafold projections rollback {name} goes back", as_json=as_json)


def rollback(
    ctx: typer.Context,
    name: Name,
    with_parked: WithParked = False,
    timeout_s: Timeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Let readers see the version before, which is where the present one is."""
    from infra.reaching import reaching
    from streams.replay.cutover import rollback as switch

    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints:
        known = application.projection(name).name
        switched = switch(endpoints.dsn, application.name, known, timeout_s, with_parked=with_parked)
    _show(switched, f"kafold projections cutover {name} goes forward again", as_json=as_json)


def drop(ctx: typer.Context, name: Name, version: VersionOption = None, as_json: AsJson = False) -> None:
    """Take away a version that readers do not see, with its table and its checkpoints."""
    from infra.cli.console import OUT, print_json
    from infra.reaching import reaching
    from streams.replay.cutover import drop as take_away

    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints:
        gone = take_away(endpoints.dsn, application.name, application.projection(name).name, version)
    if as_json:
        print_json({"projection": gone.name, "dropped": gone.version})
    else:
        OUT.print(f"[green]✓[/green] {gone.name} v{gone.version} is dropped")


def _show(switched: Switched, way_back: str, *, as_json: bool) -> None:
    from infra.cli.console import OUT, print_json

    facts: dict[str, Any] = {
        "projection": switched.now.name,
        "before": switched.before.version,
        "now": switched.now.version,
        "position": str(switched.position),
        "parked": switched.parked,
    }
    if as_json:
        print_json(facts)
        return
    parked = f", [yellow]{switched.parked:,} parked keys[/yellow]" if switched.parked else ""
    OUT.print(f"[green]✓[/green] readers of {switched.now.name} see v{switched.now.version} now{parked} ({way_back})")
    OUT.print(f"[dim]at {switched.position}[/dim]")
