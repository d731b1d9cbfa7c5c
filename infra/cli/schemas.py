"""`kafold schemas`: the published language, its versions, and the proof that the log can still be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation
from infra.cli.failures import NO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.proof import Line, Proof

PLURAL = {"dead letter": "dead letters", "parked": "parked"}

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
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Read the real topics, dead letters and parked events; prove that all of it still decodes to today's types."""
    from infra.cli.console import OUT, print_json
    from infra.proving import prove as proven
    from infra.reaching import reaching

    told = invocation(ctx)
    application, settings = told.application(), told.settings()
    with reaching(settings) as endpoints, _Bar() as advance:
        proof = proven(application, settings, endpoints, everything=everything, advance=advance)
    if as_json:
        print_json(_document(proof))
    else:
        OUT.print(_table(proof.lines))
        _say(proof)
    if proof.failures:
        raise typer.Exit(NO)


def _document(proof: Proof) -> dict[str, Any]:
    from dataclasses import asdict

    schemas = [
        asdict(line) | {name: {"partition": place[0], "offset": place[1]} for name, place in _ends(line).items()}
        for line in proof.lines
    ]
    counts = {"records": proof.records, "decoded": proof.decoded, "excused": proof.excused}
    return {**counts, "schemas": schemas, "failures": [each._asdict() for each in proof.failures]}


def _ends(line: Line) -> dict[str, tuple[int, int]]:
    return {"first": line.first, "last": line.last}


def _say(proof: Proof) -> None:
    from infra.cli.console import OUT

    for failure in proof.failures:
        OUT.print(str(failure), style="red", markup=False)
    if not proof.failures:
        OUT.print(f"{proof.records:,} records can be read; {proof.decoded:,} of them were.", style="green")
    if proof.excused:
        OUT.print(f"{proof.excused:,} cannot, and are accounted for as dead letters.", style="dim")


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
        topic = each.topic if each.kept == "topic" else f"{each.topic} ({PLURAL[each.kept]})"
        first, last = (f"{partition}@{offset:,}" for partition, offset in _ends(each).values())
        table.add_row(topic, each.record, str(each.schema_id), f"{each.count:,}", first, last)
    return table
