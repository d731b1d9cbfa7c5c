"""Jars: Kafka's Java archives, pinned by hash and cached once per user.

``kafka-jars.txt`` names every archive with its SHA-256; ``python -m infra.engines.jars_lock`` writes it. jgo downloads
what the cache lacks; whatever does not match its hash (another file, or half of one after an interrupted download) is
removed and fetched once more, and never run.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.engines.errors import EnginesMissingError, JarError

PINNED = Path(__file__).with_name("kafka-jars.txt")
_DOWNLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class Jar:
    """One archive by its Maven coordinates and content."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.artifact}-{self.version}.jar"

    def path(self, cache: Path) -> Path:
        """Where the cache, laid out as a Maven repository, has it."""
        return cache.joinpath(*self.group.split("."), self.artifact, self.version, self.name)


def read_pinned(file: Path = PINNED) -> list[Jar]:
    """The pinned archives, in class path order."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines() if line[:1] not in {"", "#"})
    jars = ((*coordinates.split(":"), sha256) for sha256, coordinates in lines)
    return [Jar(group, artifact, version, sha256) for group, artifact, version, sha256 in jars]


def default_cache() -> Path:
    """The user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kafold" / "jars"


def class_path(jars: Sequence[Jar], cache: Path, on_progress: Callable[[str], None]) -> str:
    """The archives as a Java class path, downloaded as needed.

    Raises:
        JarError: an archive cannot be had.
        EnginesMissingError: jgo is not installed.
    """
    with locked(cache):
        missing = [jar for jar in jars if not _is_sound(jar, cache)]
        if missing:
            _download(missing, cache, on_progress)
    return os.pathsep.join(str(jar.path(cache)) for jar in jars)


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One process at a time writes to the cache; others wait and then find it full."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_sound(jar: Jar, cache: Path) -> bool:
    try:
        content = jar.path(cache).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest() == jar.sha256


def _download(jars: Sequence[Jar], cache: Path, on_progress: Callable[[str], None]) -> None:
    on_progress(f"downloading Kafka: {len(jars)} jars, once per user")
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        for done, _ in enumerate(pool.map(lambda jar: _fetch(jar, cache), jars), start=1):
            if done % 10 == 0 or done == len(jars):
                on_progress(f"downloading Kafka: {done} of {len(jars)} jars")


def _fetch(jar: Jar, cache: Path) -> None:
    jar.path(cache).unlink(missing_ok=True)
    _fetch_unchecked(jar, cache)
    if not _is_sound(jar, cache):
        jar.path(cache).unlink(missing_ok=True)
        raise JarError(f"{jar.name} is not the one that kafold was built with: look at who serves your jars.")


def _fetch_unchecked(jar: Jar, cache: Path) -> None:
    try:
        from jgo.maven import MavenContext
    except ImportError:
        raise EnginesMissingError(
            "the embedded engines are not installed: pip install 'kafold[embedded]', "
            "or set KAFOLD_KAFKA__BOOTSTRAP_SERVERS."
        ) from None
    component = MavenContext(repo_cache=cache).project(jar.group, jar.artifact).at_version(jar.version)
    try:
        component.artifact(packaging="jar").resolve()
    except (OSError, RuntimeError, AssertionError):  # what jgo raises: network, disk, not found, lost race
        # Its text is not passed on: it may hold addresses.
        raise JarError(
            f"cannot download {jar.name}: check the network and the disk's free space and try again, "
            f"or copy the jars of {PINNED.name} into {cache}, laid out as a Maven repository."
        ) from None
