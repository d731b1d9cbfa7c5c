"""`kafold replay`: a new version of a projection from the log, compared with what readers see; or a one-off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from streams.kernel.parting import Parting
    from streams.replay.comparing import Compared

Name = Annotated[str, typer.Argument(metavar="NAME", help="The projection.")]
VersionOption = Annotated[int | None, typer.Option("--version", min=1, help="Which version; left out: the newest.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="How long to wait for both versions to meet.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
ONE_OFF = "A one-off read model, into a table or a file"
FORMATS = ("csv", "parquet", "arrow", "duckdb")


def replay(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The projection.")] = None,
    version: VersionOption = None,
    compare: Annotated[bool, typer.Option("--compare", help="Compare it, row by row, with what readers see.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever was built so far.")] = False,
    park: Annotated[
        bool, typer.Option("--park", help="Park the keys of events that cannot be folded, and go on.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Split the partitions over so many processes; left out: one for each core, if the log is long enough.",
        ),
    ] = None,
    rows_max: Annotated[int | None, typer.Option(min=1000, help="Rows in memory (about 1 kB each).")] = None,
    first: Annotated[int, typer.Option(min=0, help="With --compare: how many differences to show.")] = 5,
    timeout_s: Timeout = 60.0,
    projection: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="A projection that nobody registered, for one question.",
            rich_help_panel=ONE_OFF,
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="SCHEMA.TABLE|FILE",
            help="Where its rows go: something that is not there yet.",
            rich_help_panel=ONE_OFF,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="POSITION|TIME", help="As it was then; left out: as it is now.", rich_help_panel=ONE_OFF),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--format", metavar="|".join(FORMATS), help="Write a file.", rich_help_panel=ONE_OFF)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build the newest version of a projection from the log, beside the one that readers see.

    Commands and workers go on. Ctrl-C loses nothing: the same command goes on where it was.

    With --projection and --into, a one-off read model: nothing is registered, and Ctrl-C leaves nothing behind.
    """
    if projection is not None or name is None:
        from infra.cli.one_off import one_off

        taken = {
            "NAME": name, "--version": version, "--compare": compare, "--restart": restart,
            "--processes": processes,
        }  # fmt: skip
        one_off(
            ctx, projection, into, until, kind, [option for option, given in taken.items() if given], rows_max,
            park=park, as_json=as_json,
        )  # fmt: skip
        return
    if given := [option for option, value in {"--into": into, "--until": until, "--format": kind}.items() if value]:
        raise typer.BadParameter(f"{given[0]} goes with --projection MODULE:NAME instead of NAME")
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import INTERRUPTED
    from infra.cli.replay_bar import bar
    from infra.reaching import reaching
    from infra.replay_parts import Wishes
    from infra.replaying import compare_versions, replay_projection

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    with reaching(settings) as endpoints:
        if compare:
            compared, partings = compare_versions(application, settings, endpoints, name, version, timeout_s, first)
            _show_compared(compared, partings, as_json=as_json)
            return
        wishes = Wishes(version, restart, park, processes, rows_max)
        with bar(name) as on_progress:
            built = replay_projection(told.target, application, settings, endpoints, name, wishes, on_progress)
    facts = {**built.facts(), "events_a_s": round(built.events / built.seconds) if built.seconds else None}
    if as_json:
        print_json(facts)
    elif built.handed_over:
        speed = f"{built.events:,} offsets in {built.seconds:.1f} s, {facts['events_a_s']:,} a second"
        OUT.print(f"[green]✓[/green] {name} v{built.version} is built ({speed}) and folded live from here on.")
        parked = f"[yellow]{built.parked:,} parked keys[/yellow], " if built.parked else ""
        OUT.print(f"  {parked}next: kafold replay {name} --compare; kafold projections cutover {name}")
    else:
        OUT.print(f"stopped, and saved at {built.position}: the same command goes on from there")
    if not built.handed_over:
        raise typer.Exit(INTERRUPTED)


def _show_compared(compared: Compared, partings: dict[str, Parting | None], *, as_json: bool) -> None:
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO

    if as_json:
        print_json(_facts(compared, partings))
    else:
        old, new = f"v{compared.old.version}", f"v{compared.new.version}"
        OUT.print(f"[dim]at {compared.position}[/dim]")
        left_out = f"; only one has {', '.join(compared.left_out)}" if compared.left_out else ""
        rows = f"{old} {compared.old_rows:,} rows, {new} {compared.new_rows:,} rows"
        OUT.print(f"{rows}, compared by {len(compared.compared)} columns{left_out}")
        for version, parked in ((old, compared.old_parked), (new, compared.new_parked)):
            if parked:
                OUT.print(f"[yellow]{version} has {parked:,} parked keys[/yellow]")
        if not compared.differing:
            OUT.print(f"[green]✓[/green] {compared.new.name} {old} and {new}: every row is the same")
        else:
            OUT.print(
                f"[red]✗[/red] {compared.differing:,} rows differ ({compared.only_old:,} only in {old}, "
                f"{compared.only_new:,} only in {new}); the first:"
            )
            for each in compared.first:
                _show_difference(each, partings.get(each.key), old, new)
    if compared.differing:
        raise typer.Exit(NO)


def _show_difference(each: Any, parting: Parting | None, old: str, new: str) -> None:
    from infra.cli.console import OUT

    OUT.print(f"  {each.key}", style="bold", markup=False)
    if each.old is None or each.new is None:
        OUT.print(f"    only {new if each.old is None else old} has it")
    for field in each.fields:
        OUT.print(f"    {field}: {old} {each.old[field]}, {new} {each.new[field]}", markup=False)
    if parting is not None:
        OUT.print(f"    {parting}", style="dim", markup=False)


def _facts(compared: Compared, partings: dict[str, Parting | None]) -> dict[str, Any]:
    def parted(key: str) -> dict[str, Any] | None:
        parting = partings.get(key)
        return None if parting is None else parting.facts()

    facts = {
        **compared._asdict(),
        "old": compared.old.version,
        "new": compared.new.version,
        "projection": compared.old.name,
        "position": str(compared.position),
    }
    facts["first"] = [{**each._asdict(), "event": parted(each.key)} for each in compared.first]
    return facts
