"""Registries: the embedded one in the `_schemas` topic, or the one whose URL the settings name.

Promises: whoever needs schema ids asks here, and gets the same port from either.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from infra.settings import RegistrySettings, Settings, SettingsError
from schemas.registry import Registry, SchemaIds
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry, register
from streams.kernel.application import Application

if TYPE_CHECKING:
    from streams.kafka.remote_registry import RemoteRegistry


@contextmanager
def schema_ids(settings: Settings, kafka: Kafka) -> Iterator[SchemaIds]:
    """The registry's ids, for the block's duration."""
    with TopicRegistry(kafka) if settings.registry.url is None else _remote(settings.registry) as ids:
        yield ids


def register_application(settings: Settings, kafka: Kafka, dsn: str, application: Application) -> int:
    """Register each of the application's schemas that is not there yet, and its mode; return how many were not.

    Raises:
        IncompatibleSchema: a schema may not follow its subject's versions.
    """
    subjects, evolution = application.subjects(), application.evolution
    if settings.registry.url is None:
        return register(kafka, dsn, subjects, evolution)
    with _remote(settings.registry) as registry:
        return registry.register(subjects, evolution)


def embedded_contents(settings: Settings, kafka: Kafka) -> Callable[[], Registry] | None:
    """Return what reads the embedded registry, from the first call on; None: the registry is elsewhere."""
    return _Contents(kafka) if settings.registry.url is None else None


@contextmanager
def schema_ids_when_asked(settings: Settings, kafka: Kafka) -> Iterator[Callable[[], SchemaIds]]:
    """What opens the registry's ids at its first call, and gives the same ones from then on, for the block's duration.

    For the read API, which starts without Kafka too.
    """
    with ExitStack() as opened:
        lock, found = threading.Lock(), list[SchemaIds]()

        def ids() -> SchemaIds:
            with lock:
                if not found:
                    found.append(opened.enter_context(schema_ids(settings, kafka)))
                return found[0]

        yield ids


class _Contents:
    """The `_schemas` topic, opened when it is first asked for, since the read API starts without Kafka too."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._registry: TopicRegistry | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Registry:
        with self._lock:
            self._registry = self._registry or TopicRegistry(self._kafka)
            self._registry.refresh()
            return self._registry.contents


def _remote(told: RegistrySettings) -> "RemoteRegistry":
    try:  # its client wants packages that the embedded registry does without
        from streams.kafka.remote_registry import Remote, RemoteRegistry
    except ModuleNotFoundError as error:
        raise SettingsError(f"registry.url needs {error.name}: install kafold[registry], or unset it.") from None
    password = told.password.get_secret_value() if told.password else None
    return RemoteRegistry(Remote(str(told.url), told.username, password, told.properties))
