"""`kafold schemas`: the published language, its versions, and the proof that the log can still be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.context import invocation
from infra.cli.failures import NO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.proof import Line, Proof

app = typer.Typer(help="The published language: versions, checks, proof against the log, export.", no_args_is_help=True)


@app.command()
def make(ctx: typer.Context) -> None:
    """Write a new version of each schema whose model changed, and say what changed."""
    from infra.cli.console import OUT
    from infra.version_files import folder_of, make_versions

    application = invocation(ctx).application()
    made = make_versions(application)
    for each in made:
        OUT.print(f"[bold]{each.record}[/bold] version {each.number}", highlight=False)
        for change in each.changes:
            OUT.print(f"  {change}", markup=False)
        for problem in each.breaks:
            OUT.print(f"  breaks {application.evolution.mode_of(each.record)}: {problem}", style="red", markup=False)
        if not each.breaks:
            OUT.print(f"  compatible ({application.evolution.mode_of(each.record)})", style="green")
    OUT.print(f"{len(made)} written to {folder_of(application)}" if made else "Nothing changed.", markup=False)


@app.command()
def check(ctx: typer.Context) -> None:
    """Fail if a model is not in its files, an old file was edited, or a change breaks its mode. For CI."""
    from infra.cli.console import OUT
    from infra.version_files import check_versions

    lines = check_versions(invocation(ctx).application())
    for line in lines:
        OUT.print(line, style="red", markup=False)
    if lines:
        raise typer.Exit(NO)
    OUT.print("Every model is in its files, every version can be read.", style="green")


@app.command()
def export(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to; it is made if it is not there.")] = Path("published"),
) -> None:
    """Write the schemas, a page (Markdown and HTML) and an AsyncAPI document for other languages."""
    from infra.cli.console import OUT
    from infra.exporting import exported

    application = invocation(ctx).application()
    files = exported(application)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    OUT.print(f"{len(files)} files in {folder}", markup=False)


@app.command()
def prove(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Decode every record, not a sample.")] = False,
) -> None:
    """Read the real topics, and prove that every schema in them still decodes to today's types."""
    from infra.cli.console import OUT
    from infra.preparing import kafka_at
    from infra.reaching import reaching
    from streams.kafka.proving import prove_topics

    told = invocation(ctx)
    application = told.application()
    with reaching(told.settings()) as endpoints, _bar() as advance:
        proof = prove_topics(application, kafka_at(endpoints), everything=everything, advance=advance)
    OUT.print(_table(proof.lines))
    _say(proof)
    if proof.failures:
        raise typer.Exit(NO)


def _say(proof: Proof) -> None:
    from infra.cli.console import OUT

    for failure in proof.failures:
        OUT.print(str(failure), style="red", markup=False)
    if not proof.failures:
        OUT.print(f"{proof.records:,} records, all of which can be read; {proof.decoded:,} were.", style="green")


def _bar() -> _Bar:
    return _Bar()


class _Bar:
    """A progress bar over all records of the topics."""

    def __enter__(self) -> _Bar:
        from rich.progress import Progress

        from infra.cli.console import ERR

        self._progress = Progress(console=ERR, transient=True)
        self._task = self._progress.add_task("reading", total=None)
        self._progress.start()
        return self

    def __call__(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


def _table(lines: Sequence[Line]) -> object:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("topic", "record", "schema id", "records", "first", "last"):
        table.add_column(heading, justify="left" if heading in {"topic", "record"} else "right")
    for each in lines:
        table.add_row(each.topic, each.record, str(each.schema_id), f"{each.count:,}", each.first.told, each.last.told)
    return table
