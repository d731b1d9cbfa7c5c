"""`kafold projections`: what the read models are, in code and in the database, what made a row, and how it was.

`infra/cli/cutover.py` has the commands that change which version readers see; `main.py` adds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import Invocation, invocation

if TYPE_CHECKING:
    from infra.checking import Checked, Facts
    from infra.projections import Listed
    from streams.event_store.causes import Explained
    from streams.kernel.application import AnyProjection, Application
    from streams.kernel.row_then import RowThen

app = typer.Typer(help="The read models: list, show, diff, explain a row, check the order.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The projection.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME ...]", help="Which ones; left out: all.")]


@app.command("list")
def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List every version: key, sources, lag, parked keys, and which one the view shows."""
    from infra.cli.console import OUT, print_json
    from infra.preparing import kafka_at
    from infra.projections import list_projections
    from infra.reaching import reaching

    told = invocation(ctx)
    with reaching(told.settings()) as endpoints:
        found = list_projections(told.application(), kafka_at(endpoints), endpoints.dsn)
    if as_json:
        print_json([each.facts() for each in found])
    else:
        OUT.print(_listed(found))


@app.command()
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show a projection as the code defines it: key, events, columns, and the statements that make its table."""
    from infra.cli.console import OUT, print_json
    from infra.projections import key_of, sources
    from streams.postgres.columns import row_shape
    from streams.postgres.setup import definition

    application = invocation(ctx).application()
    projection = application.projection(name)
    columns = [
        {"name": each.name, "type": each.type, "nullable": each.nullable, "comment": each.comment}
        for each in row_shape(projection).columns
    ]
    facts = {
        "name": projection.name,
        "version": projection.version,
        "comment": " ".join((projection.row.__doc__ or "").split()),
        "key": key_of(projection),
        "sources": sources(application, projection),
        "events": sorted(each.__name__ for each in projection.event_types),
    }
    ddl = definition(application.name, projection)
    if as_json:
        print_json({**facts, "columns": columns, "ddl": ddl})
        return
    for label, fact in facts.items():
        OUT.print(f"{label:<9}", style="dim", end="")
        OUT.print(", ".join(fact) if isinstance(fact, list) else str(fact), markup=False)
    OUT.print(_table(["column", "type", "", "comment"], [
        [each["name"], each["type"], "" if each["nullable"] else "not null", each["comment"]] for each in columns
    ]))  # fmt: skip
    OUT.print(ddl, style="dim", markup=False)


@app.command()
def diff(ctx: typer.Context, names: Names = None, as_json: AsJson = False) -> None:
    """Compare row models with their tables: what differs needs a new version of the projection."""
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO
    from infra.reaching import reaching
    from streams.postgres.connection import connect
    from streams.postgres.differing import differences

    told = invocation(ctx)
    application, chosen = told.application(), _chosen(told, names)
    with reaching(told.settings()) as endpoints, connect(endpoints.dsn, "diff") as connection:
        found = [(each, differences(connection, application.name, each)) for each in chosen]
    if as_json:
        print_json([
            {"name": each.name, "version": each.version, "prepared": lines is not None,
             "differences": [line._asdict() for line in lines or ()]}
            for each, lines in found
        ])  # fmt: skip
    for each, lines in found if not as_json else ():
        title = f"{each.name} v{each.version}"
        if lines is None:
            OUT.print(f"[yellow]·[/yellow] {title}: no table yet, `kafold up` or `kafold replay` makes it")
        elif not lines:
            OUT.print(f"[green]✓[/green] {title}: code and table are the same")
        else:
            OUT.print(f"[red]✗[/red] {title}: give the projection version {each.version + 1}, its table has rows")
            rows = [[line.column, line.in_code or "(none)", line.in_database or "(none)"] for line in lines]
            OUT.print(_table(["column", "in code", "in the database"], rows))
    if any(lines for _, lines in found):
        raise typer.Exit(NO)


@app.command()
def explain(
    ctx: typer.Context,
    name: Name,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The row's key, as SQL shows it.")],
    as_json: AsJson = False,
) -> None:
    """List the events that made a row, and what each of them changed."""
    from infra.cli.console import print_json
    from infra.cli.failures import NO
    from infra.cli.waiting import progress_of
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids
    from streams.event_store.causes import explain_row

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    projection = application.projection(name)
    value = _key(projection, key)
    with reaching(settings) as endpoints, schema_ids(settings, kafka_at(endpoints)) as ids, progress_of(name) as bar:
        found = explain_row(
            application, projection, value, kafka=kafka_at(endpoints), dsn=endpoints.dsn, ids=ids,
            partitions=settings.partitions, on_progress=bar,
        )  # fmt: skip
    if as_json:
        causes = [{**each._asdict(), "changed": _plain(each.changed)} for each in found.causes]
        print_json({"key": key, "exists": found.exists, "parked": found.parked, "events": causes})
    else:
        _print_causes(found, f"{name} {key}")
    if not found.causes and not found.parked:
        raise typer.Exit(NO)


@app.command()
def row(
    ctx: typer.Context,
    name: Name,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The row's key, as SQL shows it.")],
    moment: Annotated[
        str,
        typer.Option(
            "--as-of", metavar="POSITION|TIME|VERSION",
            help="When. A version is its aggregate's, where rows are keyed by that.",
        ),
    ],
    timeout_s: Annotated[float, typer.Option(min=0, help="How long to wait for a position or a version.")] = 5.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show a row as it was: the fold of its events up to a moment. Without that, ask SQL or the read API."""
    from infra.cli.console import print_json
    from infra.cli.failures import NO
    from infra.cli.waiting import progress_of
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids
    from streams.event_store.moment import parse_moment_or_version
    from streams.replay.one_row import row_as_of

    told = invocation(ctx)
    application, settings, then = told.application(), told.settings(), parse_moment_or_version(moment)
    projection = application.projection(name)
    value = _key(projection, key)
    with reaching(settings) as endpoints, schema_ids(settings, kafka_at(endpoints)) as ids, progress_of(name) as bar:
        found = row_as_of(
            application, projection, value, then, kafka=kafka_at(endpoints), dsn=endpoints.dsn, ids=ids,
            partitions=settings.partitions, timeout_s=timeout_s, on_progress=bar,
        )  # fmt: skip
    if as_json:
        shown = None if found.row is None else found.row.model_dump(mode="json")
        facts = {**found._asdict(), "was": found.was.value, "row": shown, "position": str(found.position)}
        print_json({"key": key, **facts})
    else:
        _print_row(found, f"{name} {key}")
    if found.row is None:
        raise typer.Exit(NO)


@app.command()
def check(
    ctx: typer.Context,
    names: Names = None,
    recorded: Annotated[bool, typer.Option("--recorded", help="Take events from the log, not generated ones.")] = False,
    events: Annotated[int, typer.Option(min=2, help="How many events to look at.")] = 400,
    tries: Annotated[int, typer.Option(min=1, help="How many interleavings.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed does the same.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Check that rows come out the same however the partitions interleave; name the first two events that do not."""
    from infra.checking import check_commuting
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO

    told = invocation(ctx)
    found = [
        check_commuting(each, {} if each.on_aggregate_key else _facts(told, each, recorded, events, seed), seed, tries)
        for each in _chosen(told, names)
    ]
    if as_json:
        print_json([{**each._asdict(), "clash": each.clash and str(each.clash)} for each in found])
    for each in found if not as_json else ():
        OUT.print(_verdict(each, tries))
    if any(each.clash for each in found):
        raise typer.Exit(NO)


def _facts(told: Invocation, projection: AnyProjection, recorded: bool, events: int, seed: int) -> Facts:
    from infra import checking
    from infra.cli.waiting import progress_of
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids

    settings = told.settings()
    if not recorded:
        return checking.generated(projection, settings.partitions, events, seed)
    with (
        reaching(settings) as endpoints,
        schema_ids(settings, kafka_at(endpoints)) as ids,
        progress_of(projection.name) as bar,
    ):
        return checking.recorded(told.application(), projection, kafka_at(endpoints), ids, events, bar)


def _chosen(told: Invocation, names: list[str] | None) -> list[AnyProjection]:
    application: Application = told.application()
    return [application.projection(name) for name in dict.fromkeys(names)] if names else list(application.projections)


def _key(projection: AnyProjection, text: str) -> Any:
    from pydantic import ValidationError

    from schemas.errors import InvalidValue
    from streams.postgres.columns import row_shape

    try:
        return row_shape(projection).key_of_text(text)
    except ValidationError as error:
        raise InvalidValue(f"{text!r} is no key of {projection.name}: {error.errors()[0]['msg']}") from None


def _verdict(found: Checked, tries: int) -> str:
    from rich.markup import escape

    title = f"{found.name} v{found.version}"
    if found.clash is not None:
        return f"[red]✗[/red] {title}: {escape(str(found.clash))}"
    if not found.events:
        return f"[green]✓[/green] {title}: each row has one partition, so there is one order"
    return f"[green]✓[/green] {title}: {found.events:,} events in {tries} interleavings give the same rows"


def _listed(found: list[Listed]) -> object:
    rows = []
    for each in found:
        state = "[green]shown[/green]" if each.shown else "[dim]not shown[/dim]"
        lag = "[dim]never ran[/dim]" if each.lag is None else f"{each.lag:,}"
        parked = f"[red]{each.parked_keys:,}[/red]" if each.parked_keys else "0"
        code = "" if each.in_code else "[dim]not in this code[/dim]"
        rows.append([each.name, f"v{each.version}", state, each.key or code, ", ".join(each.sources), lag, parked])
    return _table(["projection", "version", "view", "key", "sources", "lag", "parked keys"], rows, markup=True)


def _print_causes(found: Explained, title: str) -> None:
    from infra.cli.console import OUT

    for each in found.causes:
        OUT.print(f"{each.topic} {each.partition}@{each.offset}  ", style="dim", end="")
        OUT.print(each.event, style="bold", end="  ")
        OUT.print(f"command {each.command_id}", style="dim", markup=False)
        for field, (before, after) in each.changed.items():
            OUT.print(f"    {field}: {before} → {after}", markup=False)
    exists = "the row is there" if found.exists else "there is no such row"
    OUT.print(f"{title}: {len(found.causes):,} events, {exists}", style="dim", markup=False)
    if found.parked:
        OUT.print(f"[yellow]{found.parked:,} of its events are parked: `kafold parked show` says why.[/yellow]")


def _print_row(found: RowThen, title: str) -> None:
    from infra.cli.console import OUT

    if found.row is not None:
        for field, value in found.row.model_dump(mode="json").items():
            OUT.print(f"{field}  ", style="dim", end="")
            OUT.print(str(value), markup=False)
    OUT.print(
        f"{title}: {found.was.value} after {found.events:,} events, at {found.position}", style="dim", markup=False
    )
    if found.waiting:
        OUT.print(f"[yellow]{found.waiting:,} or more of its events could not be folded, or wait behind one.[/yellow]")


def _plain(changed: dict[str, tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    return {field: {"before": before, "after": after} for field, (before, after) in changed.items()}


def _table(headings: list[str], rows: list[list[Any]], markup: bool = False) -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(cell if markup else escape(str(cell)) for cell in row))
    return table
