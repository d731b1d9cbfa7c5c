"""`kafold backup` and `kafold restore`: the log into files, and from files into an empty cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.context import invocation

if TYPE_CHECKING:
    from streams.backup.manifest import Manifest

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]


def backup(
    ctx: typer.Context,
    folder: Folder,
    verify: Annotated[
        bool, typer.Option("--verify", help="Make nothing: read a backup's files, and compare their checksums.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the log into files: every topic with all that is in its records, and the registry.

    Everything may go on meanwhile. A backup that was interrupted is finished by running it again.
    """
    from infra.backing_up import back_up, check_files
    from infra.cli.waiting import progress_of
    from infra.reaching import reaching

    told = invocation(ctx)
    if verify:
        with progress_of("reading") as advance:
            manifest = check_files(folder, advance)
    else:
        settings, application = told.settings(), told.application()
        with reaching(settings) as endpoints, progress_of("backing up") as advance:
            manifest = back_up(application, settings, endpoints, folder, advance)
    _tell(manifest, "are whole" if verify else f"are in {folder}", as_json)


def restore(ctx: typer.Context, folder: Folder, as_json: AsJson = False) -> None:
    """Restore a backup into an empty cluster, and compare every record. Start nothing on it before that is done.

    Checkpoints and rows are not in a backup: `kafold up` rebuilds them from the log.
    Processes that were under way are not either: a process manager begins at the log's end.
    """
    from infra.backing_up import restore as restore_backup
    from infra.cli.console import note
    from infra.cli.waiting import progress_of
    from infra.reaching import starting

    told = invocation(ctx)
    settings, application = told.settings(), told.application()
    with starting(settings, note) as endpoints, progress_of("restoring and comparing") as advance:
        manifest = restore_backup(application, settings, endpoints, folder, advance)
    _tell(manifest, "are restored, and the same as in the backup", as_json)


def _tell(manifest: Manifest, what: str, as_json: bool) -> None:
    from rich.table import Table

    from infra.cli.console import OUT, print_json

    facts = [_facts(each) for each in manifest.topics]
    if as_json:
        print_json({"application": manifest.application, "records": manifest.records, "topics": facts})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("topic")
    table.add_column("records", justify="right")
    table.add_column("checksum")
    for each in facts:
        table.add_row(each["name"], f"{each['records']:,}", each["sha256"][:16])
    OUT.print(table)
    OUT.print(f"{manifest.records:,} records {what}.", style="green", markup=False)


def _facts(topic: Any) -> dict[str, Any]:
    """Return a topic's facts, with one checksum over those of its segments."""
    import hashlib

    sums = [segment.content_sha256 for partition in topic.partitions for segment in partition.segments]
    return {
        "name": topic.name,
        "records": sum(each.records for each in topic.partitions),
        "sha256": hashlib.sha256("".join(sums).encode()).hexdigest(),
    }
