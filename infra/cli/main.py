"""`kafold`: the commands put together."""

import sys
from typing import Annotated

import typer

from infra.cli import (
    backup,
    cutover,
    dead_letters,
    decisions,
    demo,
    doctor,
    events,
    figures,
    parked,
    parts,
    projections,
    replay,
    schemas,
    send,
    status,
    up,
)
from infra.cli.context import SAMPLE, Invocation
from infra.cli.failures import INTERRUPTED, report

app = typer.Typer(
    help="Event sourcing on Kafka: commands in, transactional events, projections in PostgreSQL.",
    epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 cannot be done now, 70 a bug, 130 Ctrl-C.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    ctx: typer.Context,
    target: Annotated[str, typer.Option("-A", "--app", metavar="MODULE:NAME", help="The application.")] = SAMPLE,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and log everything.")] = False,
) -> None:
    """Take what holds for every command."""
    ctx.obj = Invocation(target, debug)
    ctx.obj.log_nothing()


app.command()(up.up)
app.command()(demo.demo)
app.command()(send.send)
app.command()(status.status)
app.command()(figures.figures)
app.command()(doctor.doctor)
app.command()(replay.replay)
app.command()(backup.backup)
app.command()(backup.restore)
app.add_typer(schemas.app, name="schemas")
app.add_typer(events.app, name="events")
app.add_typer(decisions.app, name="decisions")
projections.app.command()(cutover.cutover)
projections.app.command()(cutover.rollback)
projections.app.command()(cutover.drop)
app.add_typer(projections.app, name="projections")
app.add_typer(parked.app, name="parked")
app.add_typer(dead_letters.app, name="dead-letters")
app.command(rich_help_panel="Single parts, which `up` runs")(parts.processor)
app.command(rich_help_panel="Single parts, which `up` runs")(parts.worker)
app.command(rich_help_panel="Single parts, which `up` runs")(parts.api)


def main() -> None:
    """Run a command, and turn what goes wrong into a line and an exit code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(report(error))


if __name__ == "__main__":
    main()
