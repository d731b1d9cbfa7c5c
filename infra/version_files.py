"""Version files: the folder in which an application keeps the versions of its schemas.

Promises: a file that is there is never written again, and the lock file names each one's hash.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.errors import DefinitionError
from schemas.history import LOCK, file_text, lock_text, locked
from schemas.versioning import NewVersion, files_of, new_versions, wrong
from streams.kernel.application import Application


def make_versions(application: Application) -> Sequence[NewVersion]:
    """Write the versions that the models ask for and the files do not have; return them.

    Raises:
        DefinitionError: the application does not say where its versions are.
    """
    folder = folder_of(application)
    made = new_versions(application.evolution, application.contracts)
    folder.mkdir(parents=True, exist_ok=True)
    hashes = dict(locked(_lock(folder)))
    texts = {name: file_text(schema) for name, schema in files_of(made).items()}
    for name, text in texts.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
    hashes.update(locked(lock_text(texts)))
    lines = [f"{digest}  {name}\n" for name, digest in sorted(hashes.items())]
    (folder / LOCK).write_text("".join(lines), encoding="utf-8")
    return made


def check_versions(application: Application) -> Sequence[str]:
    """Return what is wrong with the versions, one line each.

    Raises:
        DefinitionError: the application does not say where its versions are.
    """
    folder = folder_of(application)
    return wrong(application.evolution, application.contracts, _texts(folder), _lock(folder))


def folder_of(application: Application) -> Path:
    """Return the folder of the application's versions, or raise DefinitionError."""
    folder = application.evolution.history.folder
    if folder is None:
        raise DefinitionError(
            f"{application.name} keeps no versions of its schemas: declare "
            "Application(..., evolution=Evolution(read_history(Path(__file__).parent / 'avsc')))"
        )
    return folder


def _texts(folder: Path) -> Mapping[str, str]:
    return {path.name: path.read_text("utf-8") for path in folder.glob("*.avsc")}


def _lock(folder: Path) -> str:
    path = folder / LOCK
    return path.read_text("utf-8") if path.exists() else ""
