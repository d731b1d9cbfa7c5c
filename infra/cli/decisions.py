"""`kafold decisions`: what today's rules would have decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from streams.redeciding.replaying import Redecided, Tally
    from streams.redeciding.scope import Scope

app = typer.Typer(help="Recorded decisions: what today's rules would make of them.", no_args_is_help=True)


@app.callback()
def decisions() -> None:
    """Recorded decisions: what today's rules would make of them."""


@app.command()
def replay(
    ctx: typer.Context,
    aggregate: Annotated[
        list[str] | None, typer.Option("--aggregate", metavar="TYPE", help="Only this aggregate type; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="POSITION|TIME", help="Only commands that were asked from then on.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="POSITION|TIME", help="Only those asked up to then.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if any command would end otherwise.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Decide every recorded command again by today's rules, and list those that would end otherwise. Writes nothing."""
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO
    from streams.redeciding.replaying import Tally

    tally, found = Tally(), list[dict[str, Any]]()
    for each in _redecided(ctx, aggregate or [], _scope(since, until), tally):
        if as_json:
            found.append(_facts(each))
        else:
            OUT.print(_line(each), markup=False)
    if as_json:
        print_json(_document(tally, found))
    else:
        _say(tally)
    if check and tally.differing:
        raise typer.Exit(NO)


def _scope(since: str | None, until: str | None) -> Scope:
    from streams.event_store.moment import parse_moment
    from streams.redeciding.scope import Scope

    return Scope(None if since is None else parse_moment(since), None if until is None else parse_moment(until))


def _redecided(ctx: typer.Context, names: list[str], scope: Scope, tally: Tally) -> Iterator[Redecided]:
    from infra.cli.waiting import progress_of
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids
    from streams.redeciding.replaying import redecide

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    kinds = [application.aggregate(name) for name in dict.fromkeys(names)] or list(application.aggregates)
    with reaching(settings) as endpoints:
        kafka, window_s = kafka_at(endpoints), settings.dedupe_window_s
        with schema_ids(settings, kafka) as ids, progress_of("deciding again") as advance:
            yield from redecide(
                application, kinds, kafka, ids, scope, tally, dedupe_window_s=window_s, on_progress=advance
            )


def _facts(each: Redecided) -> dict[str, Any]:
    place = {"topic": each.place[0], "partition": each.place[1], "offset": each.offset}
    about = {"command": each.command, "command_id": each.command_id, "time": _time(each), **place}
    aggregate = {"aggregate": each.aggregate, "id": each.aggregate_id}
    return {**about, **aggregate, "then": each.then.facts(), "now": each.now.facts()}


def _document(tally: Tally, found: list[dict[str, Any]]) -> dict[str, Any]:
    counts = [{"then": then, "now": now, "commands": n} for (then, now), n in tally.differing.most_common()]
    begins = [{"topic": topic, "partition": n, "offset": offset} for (topic, n), offset in tally.begins.items()]
    return {
        "decided": tally.decided,
        "repeated": tally.repeated,
        "not_kept": tally.not_kept,
        "foreign": tally.foreign,
        "differing": tally.differing.total(),
        "summary": counts,
        "begins": begins,
        "commands": found,
    }


def _line(each: Redecided) -> str:
    place = f"{each.place[0]} {each.place[1]}@{each.offset}"
    return (
        f"{_time(each)}  {each.command} {each.command_id} ({place}, {each.aggregate_id})\n    {each.then} → {each.now}"
    )


def _time(each: Redecided) -> str:
    return datetime.fromtimestamp(each.time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _say(tally: Tally) -> None:
    from rich.table import Table

    from infra.cli.console import OUT

    if tally.differing:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("commands", justify="right")
        for heading in ("then", "now"):
            table.add_column(heading)
        for (then, now), count in tally.differing.most_common():
            table.add_row(f"{count:,}", then, now)
        OUT.print(table)
    for (topic, partition), offset in tally.begins.items():
        OUT.print(f"{topic}: the commands of partition {partition} before {offset} are gone: history begins there.")
    if tally.not_kept:
        OUT.print(f"Of {tally.not_kept:,} the outcome is no longer kept: they left no events, and would leave none.")
    if tally.foreign:
        OUT.print(f"{tally.foreign:,} records among the events cannot be read, and are no command's: passed over.")
    would = f"{tally.differing.total():,} would end otherwise" if tally.differing else "all would end as they did"
    repeated = f" ({tally.repeated:,} repeats passed over)" if tally.repeated else ""
    OUT.print(f"{tally.decided:,} commands decided again{repeated}, {would}. Nothing was written.")
