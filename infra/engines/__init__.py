"""Engines: Kafka and PostgreSQL, embedded or yours, behind one door.

``engines(settings)`` gives the endpoints of both. What the settings name (a cluster, a database) is used as it is. What
they do not name is embedded: joined when another process of the same home runs it already, else started here and
stopped on the way out. Embedded engines live on loopback, keep their data under the home, and end when the process that
started them dies, even by kill -9.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from infra.engines.engine import Engine, RunningEngine, join_or_start
from infra.engines.errors import EngineError
from infra.engines.kafka import KafkaEngine, bootstrap_servers
from infra.engines.postgres import PostgresEngine
from infra.settings import Settings

__all__ = ["Endpoints", "EngineError", "engines"]


@dataclass(frozen=True)
class Endpoints:
    """Where Kafka and PostgreSQL are.

    ``kafka_properties`` holds further librdkafka properties for every client (TLS, SASL). ``owned`` tells whether this
    process started an engine, and so ends it.
    """

    bootstrap_servers: str
    dsn: str = field(repr=False)  # holds a password
    kafka_properties: dict[str, str] = field(repr=False)
    owned: bool
    _checks: tuple[Callable[[], None], ...] = field(default=(), repr=False, compare=False)

    def check(self) -> None:
        """Raise EngineError when an embedded engine has ended since; quick, to be asked now and then."""
        for check in self._checks:
            check()

    def environment(self) -> dict[str, str]:
        """Variables that point a child process at these same endpoints."""
        return {"KAFOLD_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers, "KAFOLD_POSTGRES__DSN": self.dsn}


@contextmanager
def engines(settings: Settings, on_progress: Callable[[str], None] | None = None) -> Iterator[Endpoints]:
    """The endpoints of Kafka and PostgreSQL for the block's duration.

    Args:
        settings: name a cluster and a database, or leave them out.
        on_progress: told one short line before each step that takes time.

    Raises:
        EngineError: an engine cannot be had; its text says what to do.
    """
    with ExitStack() as stack:
        running = _Running(stack, on_progress or _say_nothing)
        kafka, postgres = _kafka(settings, running), _postgres(settings, running)
        yield Endpoints(kafka(), postgres(), settings.kafka.properties, running.owned, running.checks)


class _Running:
    """The engines in use; they are started side by side and stopped side by side."""

    def __init__(self, stack: ExitStack, on_progress: Callable[[str], None]) -> None:
        self._stack = stack
        self._on_progress = on_progress
        self._all: list[RunningEngine] = []

    @property
    def owned(self) -> bool:
        return any(engine.owned for engine in self._all)

    @property
    def checks(self) -> tuple[Callable[[], None], ...]:
        return tuple(engine.check for engine in self._all)

    def begin(self, engine: Engine) -> RunningEngine:
        running = join_or_start(engine, self._on_progress)
        self._all.append(running)
        self._stack.callback(running.stop)
        self._stack.callback(running.ask_to_stop)
        return running


def _kafka(settings: Settings, running: _Running) -> Callable[[], str]:
    if (configured := settings.kafka.bootstrap_servers) is not None:
        return lambda: configured
    kafka = running.begin(KafkaEngine(settings.home, settings.kafka.port))

    def ready() -> str:
        kafka.await_ready()
        return bootstrap_servers(kafka.ports)

    return ready


def _postgres(settings: Settings, running: _Running) -> Callable[[], str]:
    if (configured := settings.postgres.dsn) is not None:
        return configured.get_secret_value
    engine = PostgresEngine(settings.home, settings.postgres.port)
    postgres = running.begin(engine)

    def ready() -> str:
        postgres.await_ready()
        return engine.dsn(postgres.ports)

    return ready


def _say_nothing(_text: str) -> None:
    pass
