"""Reaching what runs: the endpoints of engines that others have started.

Promises: nothing is started here; an embedded engine that does not run is said to be down, with what starts it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.engines import Endpoints, EngineError, engines
from infra.engines.home import EngineHome
from infra.engines.ports import is_listening
from infra.settings import Settings


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
def reaching(settings: Settings) -> Iterator[Endpoints]:
    """The endpoints of what runs.

    Raises:
        EngineError: an embedded engine does not run.
    """
    missing = down(settings)
    if missing:
        raise EngineError(
            f"{' and '.join(missing)} of {settings.home} {'does' if len(missing) == 1 else 'do'} not run: "
            "start `kafold up` in another terminal."
        )
    with engines(settings) as endpoints:
        yield endpoints


def _runs(home: EngineHome) -> bool:
    state = home.read_state()
    return state is not None and state.ready and is_listening(state.ports[0])
