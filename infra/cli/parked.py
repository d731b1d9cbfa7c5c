"""`kafold parked`: the events that a projection could not take, why, and to retry or discard them.

A retry or discard is a request: the worker that owns the events' partition carries it out, in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation
from infra.cli.dead_letters import HEXDUMP_BYTES_MAX, hexdump

if TYPE_CHECKING:
    from streams.postgres.parking import Parked, ParkedSummary, Request

app = typer.Typer(help="Events that a projection could not take: list, show, retry, discard.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
Reader = Annotated[str | None, typer.Argument(metavar="[PROJECTION]", help="Of which one; left out: of all.")]
Key = Annotated[str | None, typer.Argument(metavar="[KEY]", help="Which key; left out: all that the options name.")]
Error = Annotated[str | None, typer.Option("--error", metavar="TYPE", help="All keys with this kind of error.")]
All = Annotated[bool, typer.Option("--all", help="Everything that is parked.")]
WaitS = Annotated[float, typer.Option(min=0, help="How long to wait for the workers, in seconds; 0: not at all.")]


@app.command("list")
def list_keys(ctx: typer.Context, projection: Reader = None, as_json: AsJson = False) -> None:
    """List the parked keys: how many events wait, since when, and why."""
    from infra.cli.console import OUT, print_json
    from infra.reaching import reaching
    from streams.postgres.connection import connect
    from streams.postgres.parking import summaries

    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints, connect(endpoints.dsn, "parked") as connection:
        found = summaries(connection, application.name, projection)
    if as_json:
        print_json([each._asdict() for each in found])
    elif found:
        OUT.print(_table(found))
    else:
        OUT.print("[green]Nothing is parked.[/green]")


@app.command()
def show(
    ctx: typer.Context,
    projection: Annotated[str, typer.Argument(metavar="PROJECTION", help="Of which projection.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="Which key, as `list` says.")],
    as_json: AsJson = False,
) -> None:
    """Show a key's parked events: where each lies, its error, what it says, and its bytes."""
    from infra.cli.console import print_json
    from infra.parked import NothingParked, decoded
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from infra.registries import schema_ids
    from streams.postgres.connection import connect
    from streams.postgres.parking import parked

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    with (
        reaching(settings) as endpoints,
        connect(endpoints.dsn, "parked") as connection,
        schema_ids(settings, kafka_at(endpoints)) as ids,
    ):
        found = parked(connection, application.name, projection, key)
        if not found:
            raise NothingParked(f"nothing of {projection} {key} is parked: `kafold parked list` shows what is")
        messages = [decoded(application, ids, each) for each in found]
    if as_json:
        print_json([
            {**each._asdict(), "message_key": _text(each.message_key), "data": each.data.hex(), "message": message}
            for each, message in zip(found, messages, strict=True)
        ])  # fmt: skip
        return
    for each, message in zip(found, messages, strict=True):
        _print_event(each, message)


@app.command()
def retry(
    ctx: typer.Context, projection: Reader = None, key: Key = None, error: Error = None, everything: All = False,
    wait_s: WaitS = 10.0, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Fold parked events again, in their order: after the code that could not take them was mended."""
    from streams.postgres.parking import Request

    _ask(ctx, Request.RETRY, projection, key, error, everything, wait_s, as_json)


@app.command()
def discard(
    ctx: typer.Context, projection: Reader = None, key: Key = None, error: Error = None, everything: All = False,
    wait_s: WaitS = 10.0, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give parked events up for their projection. The log and the journal keep them."""
    from streams.postgres.parking import Request

    _ask(ctx, Request.DISCARD, projection, key, error, everything, wait_s, as_json)


def _ask(
    ctx: typer.Context, what: Request, projection: str | None, key: str | None, error: str | None, everything: bool,
    wait_s: float, as_json: bool,
) -> None:  # fmt: skip
    from infra.cli.console import OUT, print_json
    from infra.cli.failures import NO
    from infra.parked import ask
    from infra.reaching import reaching

    if not (key or error or everything):
        raise typer.BadParameter("name a key, or --error TYPE, or --all: which events?")
    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints:
        done = ask(endpoints.dsn, application.name, what, projection, key, error, wait_s)
    if as_json:
        print_json(done._asdict())
    elif done.waiting:
        OUT.print(
            f"[yellow]{done.waiting:,} of {done.asked:,} events still wait for their worker.[/yellow] Does it run?"
        )
    else:
        OUT.print(f"[green]{done.asked - done.parked:,} events settled[/green], {done.parked:,} are still parked.")
    if done.waiting or done.parked:
        raise typer.Exit(NO)


def _table(found: list[ParkedSummary]) -> object:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("projection", "key", "events", "since", "error", "reason", "requested"):
        table.add_column(heading, overflow="fold")
    for each in found:
        key = f"{escape(each.key)} [dim](message)[/dim]" if each.by_message else escape(each.key)
        table.add_row(
            f"{escape(each.projection)} v{each.version}", key, f"{each.events:,}", f"{each.since:%Y-%m-%d %H:%M:%S}",
            f"[red]{escape(each.error_type or '')}[/red]", escape(each.error or ""), each.request or "",
        )  # fmt: skip
    return table


def _print_event(each: Parked, message: dict[str, Any] | None) -> None:
    from infra.cli.console import OUT

    OUT.print(f"{each.topic} {each.partition}@{each.offset}", style="bold", markup=False)
    error = f"{each.error_type}: {each.error}" if each.error_type else "it waits behind another of its key"
    facts = {"why": error, "since": each.parked_at, "code": each.code, "requested": each.request, "event": message}
    for name, fact in facts.items():
        if fact is not None:
            OUT.print(f"  {name:<10}", style="dim", end="")
            OUT.print(str(fact), markup=False)
    OUT.print("\n".join(f"  {line}" for line in hexdump(each.data[:HEXDUMP_BYTES_MAX])), style="dim", markup=False)


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")
