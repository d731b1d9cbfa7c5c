"""`kafold events`: one aggregate's history, and the proof that the journal is what the topics say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from schemas.registry import SchemaIds
    from streams.event_store.history import Recorded
    from streams.event_store.verifying import Verified
    from streams.kafka.config import Kafka
    from streams.kernel.application import AnyAggregate, Application

app = typer.Typer(help="The event store: load a history, verify the journal.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command()
def load(
    ctx: typer.Context,
    aggregate: Annotated[str, typer.Argument(metavar="AGGREGATE", help="The aggregate type, as account.")],
    aggregate_id: Annotated[str, typer.Argument(metavar="ID", help="Which one.")],
    upto: Annotated[int | None, typer.Option(min=0, help="The last version to show.")] = None,
    at_least: Annotated[
        str | None, typer.Option(metavar="POSITION", help="Wait until the journal has come so far.")
    ] = None,
    moment: Annotated[
        str | None, typer.Option("--as-of", metavar="POSITION|TIME|VERSION", help="Show it as it was then.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(min=0, help="How long to wait for a position or a version.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Show one aggregate's events and the state that they lead to, now or as of a version, a position or a time."""
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids
    from schemas.position import Position
    from streams.event_store.history import rebuild
    from streams.event_store.moment import parse_moment_or_version
    from streams.event_store.store import EventStore
    from streams.kafka.log_end import LogEnd

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    kind = application.aggregate(aggregate)
    if upto is not None and moment is not None:
        raise typer.BadParameter("--upto does not go with --as-of, which takes a version too")
    then = None if moment is None else parse_moment_or_version(moment)
    goal = None if at_least is None else Position.parse(at_least)
    with (
        reaching(settings) as endpoints,
        schema_ids(settings, kafka_at(endpoints)) as ids,
        LogEnd(kafka_at(endpoints)) as log_end,
        EventStore(
            application, kind, dsn=endpoints.dsn, ids=ids, partitions=settings.partitions, log_end=log_end
        ) as store,
    ):
        if then is None:
            history = store.load(aggregate_id, upto, goal, timeout_s)
        else:
            history = store.as_of(aggregate_id, then, goal, timeout_s).whole()
    state = rebuild(kind, history).model_dump(mode="json")
    if as_json:
        events = [_facts(each) for each in history]
        print_json({"id": aggregate_id, "position": str(history.position), "events": events, "state": state})
    else:
        for each in history:
            fields = " ".join(f"{name}={value}" for name, value in each.event.model_dump(mode="json").items())
            OUT.print(f"{each.version:>6}  {each.metadata.time:%Y-%m-%d %H:%M:%S}  ", style="dim", end="")
            OUT.print(type(each.event).__name__, style="bold", end="  ")
            OUT.print(fields, markup=False)
        OUT.print(f"version {history.version}, state {state}", style="dim", markup=False)
    if not history.recorded:
        raise typer.Exit(NO)


@app.command()
def verify(
    ctx: typer.Context,
    aggregate: Annotated[str | None, typer.Argument(metavar="[AGGREGATE]", help="One type; left out: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the journal with the topics, event by event, and name the first difference."""
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    kinds = application.aggregates if aggregate is None else [application.aggregate(aggregate)]
    with reaching(settings) as endpoints, schema_ids(settings, kafka_at(endpoints)) as ids:
        found = [_verified(application, kind, kafka_at(endpoints), endpoints.dsn, ids) for kind in kinds]
    if as_json:
        print_json([_verdict(each) for each in found])
    else:
        for each in found:
            OUT.print(_line(each))
    if any(each.difference for each in found):
        raise typer.Exit(NO)


def _verified(application: Application, kind: AnyAggregate, kafka: Kafka, dsn: str, ids: SchemaIds) -> Verified:
    from rich.progress import Progress

    from infra.cli.console import ERR
    from streams.event_store.verifying import verify as compare

    with Progress(console=ERR, transient=True) as bar:
        task = bar.add_task(kind.name, total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return compare(application, kind, kafka, dsn, ids, on_progress)


def _facts(each: Recorded[Any]) -> dict[str, Any]:
    fields = each.event.model_dump(mode="json")
    return {"type": type(each.event).__name__, "offset": each.offset, **each.metadata._asdict(), "fields": fields}


def _verdict(found: Verified) -> dict[str, Any]:
    difference = None if found.difference is None else found.difference._asdict()
    return {**found._asdict(), "difference": difference}


def _line(found: Verified) -> str:
    from rich.markup import escape

    parked = f", [yellow]{found.parked:,} parked[/yellow]" if found.parked else ""
    parked += f", [yellow]the journal is behind by {found.behind:,}[/yellow]" if found.behind else ""
    if found.difference is None:
        return f"[green]✓[/green] {found.topic}: {found.events:,} events, the same in both{parked}"
    place = f"partition {found.difference.partition}, offset {found.difference.offset}"
    same = f"{found.events:,} events the same before it{parked}"
    return f"[red]✗[/red] {found.topic}: {place}: {escape(found.difference.what)} ({same})"
