"""Reaching Kafka and PostgreSQL: embedded engines, started or not, or a cluster and a database of somebody's.

Promises: an embedded engine that does not run is started where that is wanted, else it is said to be down, with what
starts it; a cluster of somebody's has answered, or the reason is told before anything else is tried.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.engines import Endpoints, EngineError, engines
from infra.engines.engine import OnProgress
from infra.engines.home import EngineHome
from infra.engines.ports import is_listening
from infra.preparing import kafka_at
from infra.settings import Settings
from streams.kafka.answering import brokers


def down(settings: Settings) -> list[str]:
    """Return the embedded engines that the settings want and that do not run."""
    wanted = {"Kafka": settings.kafka.bootstrap_servers, "PostgreSQL": settings.postgres.dsn}
    folders = {"Kafka": "kafka", "PostgreSQL": "postgres"}
    return [
        name
        for name, configured in wanted.items()
        if configured is None and not _runs(EngineHome(settings.home / folders[name]))
    ]


@contextmanager
def starting(settings: Settings, on_progress: OnProgress = lambda _: None) -> Iterator[Endpoints]:
    """The endpoints, for the block's duration; embedded engines that do not run are started.

    Raises:
        ClusterUnreachable: the settings' cluster does not answer, or does not let us in.
        EngineError: an embedded engine cannot be started.
    """
    with engines(settings, on_progress) as endpoints:
        if settings.kafka.bootstrap_servers is not None:
            brokers(kafka_at(endpoints))
        yield endpoints


@contextmanager
def reaching(settings: Settings) -> Iterator[Endpoints]:
    """The endpoints of what runs.

    Raises:
        ClusterUnreachable: the settings' cluster does not answer, or does not let us in.
        EngineError: an embedded engine does not run.
    """
    missing = down(settings)
    if missing:
        raise EngineError(
            f"{' and '.join(missing)} of {settings.home} {'does' if len(missing) == 1 else 'do'} not run: "
            "start `kafold up` in another terminal."
        )
    with starting(settings) as endpoints:
        yield endpoints


def _runs(home: EngineHome) -> bool:
    state = home.read_state()
    return state is not None and state.ready and is_listening(state.ports[0])
