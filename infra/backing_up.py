"""Backing up and restoring: an application's log between its cluster and a folder, by the settings.

Promises: nothing of the application is started or stopped; a restore into a database that already has projections of
the application is refused, since these are of another log.
"""

from collections.abc import Callable
from pathlib import Path

import psycopg

from infra.engines import Endpoints
from infra.preparing import kafka_at
from infra.registries import schema_ids
from infra.settings import Settings, SettingsError
from streams.backup.errors import NotEmpty, WrongFolder
from streams.backup.folder import Folder
from streams.backup.making import make
from streams.backup.manifest import Manifest
from streams.backup.restoring import restore as restore_log
from streams.kernel.application import Application

OnProgress = Callable[[int, int], None]
_CHECKPOINTS = "SELECT count(*) FROM kafold.checkpoints WHERE application = %s"


def back_up(
    application: Application, settings: Settings, endpoints: Endpoints, path: Path, on_progress: OnProgress
) -> Manifest:
    """Make a backup, or finish one. See `streams.backup.making.make` for what it raises."""
    kafka = kafka_at(endpoints)
    with schema_ids(settings, kafka) as ids:
        return make(
            application, kafka, ids, Folder(path), registry=settings.registry.url is None, on_progress=on_progress
        )


def check_files(path: Path, on_progress: OnProgress) -> Manifest:
    """Read every file of a backup, and compare it with the manifest.

    Raises:
        DamagedBackup: names the first file that is not as it was written.
        WrongFolder: it is no backup.
    """
    folder = Folder(path)
    manifest, done = folder.manifest(), 0
    for place, _, partition in manifest.places():
        for number, segment in enumerate(partition.segments):
            done += sum(1 for _ in folder.read(place, number, segment))
            on_progress(done, manifest.records)
    return manifest


def restore(
    application: Application, settings: Settings, endpoints: Endpoints, path: Path, on_progress: OnProgress
) -> Manifest:
    """Restore a backup. See `streams.backup.restoring.restore` for what else it raises.

    Raises:
        NotEmpty: the database has rows of the application.
        SettingsError: the settings are not those of the backup.
        WrongFolder: the backup needs another registry than the settings name.
    """
    folder = Folder(path)
    manifest = folder.manifest()
    if manifest.partitions != settings.partitions:
        raise SettingsError(
            f"the backup's topics have {manifest.partitions} partitions, the settings say {settings.partitions}: "
            f"set KAFOLD_PARTITIONS={manifest.partitions}."
        )
    embedded = any(topic.kind == "registry" for topic in manifest.topics)
    if embedded != (settings.registry.url is None):
        told = (
            "has its registry in it: unset registry.url"
            if embedded
            else "was made with one elsewhere: set registry.url"
        )
        raise WrongFolder(f"the backup {told}, so that its schema ids mean the same")
    _check_database(endpoints.dsn, application.name)
    return restore_log(
        application,
        kafka_at(endpoints),
        folder,
        replication_factor=settings.replication_factor,
        dedupe_window_s=settings.dedupe_window_s,
        on_progress=on_progress,
    )


def _check_database(dsn: str, application: str) -> None:
    with psycopg.connect(dsn) as connection:
        if connection.execute("SELECT to_regclass('kafold.checkpoints')").fetchone() == (None,):
            return
        [count] = connection.execute(_CHECKPOINTS, [application]).fetchone() or (0,)
    if count:
        raise NotEmpty(
            f"the database has projections of {application}, which are of another log: nothing was restored. "
            "Take an empty database; they are rebuilt in it"
        )
