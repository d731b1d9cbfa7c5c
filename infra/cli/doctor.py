"""`kafold doctor`: what is missing or wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from infra.checks import Finding


def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Check the machine, the settings, the cluster and the database. Nothing is started or changed."""
    from infra.checks import findings
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO

    told = invocation(ctx)
    found = []
    for finding in findings(told.application, told.settings):
        found.append(finding)
        if not as_json:
            OUT.print(_line(finding))
    if as_json:
        print_json([finding.facts() for finding in found])
    bad = sum(not finding.ok for finding in found)
    if not as_json:
        OUT.print("\n[green]All is well.[/green]" if not bad else f"\n[yellow]{bad} of {len(found)} need you.[/yellow]")
    if bad:
        raise typer.Exit(NO)


def _line(finding: Finding) -> str:
    from rich.markup import escape

    mark = "[green]✓[/green]" if finding.ok else "[red]✗[/red]"
    line = f"{mark} {finding.what:<12} {escape(finding.found)}"
    return line if finding.ok else f"{line}\n  [yellow]→ {escape(finding.to_do)}[/yellow]"
