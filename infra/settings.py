"""Settings: the one place that says where kafold runs and what it may be told.

They come from the environment (``KAFOLD_KAFKA__BOOTSTRAP_SERVERS=...``) and from a TOML file (``kafold.toml`` in the
working directory, or the file that ``KAFOLD_CONFIG`` names); the environment wins. A key that nobody knows and a value
that cannot be are refused with one line that says what to do. With nothing set, everything is embedded: Kafka and
PostgreSQL run as child processes with their data under ``home``.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableValueError

ENV_PREFIX = "KAFOLD_"
ENV_DELIMITER = "__"
CONFIG_VARIABLE = "KAFOLD_CONFIG"
CONFIG_FILE = "kafold.toml"

Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(Exception):
    """The settings cannot be used. Its text is one line that names the setting and says what to do."""


class KafkaSettings(BaseModel):
    """Which Kafka: a cluster of yours, or the embedded one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: str | None = Field(
        None, min_length=1, description="host:port[,host:port] of your cluster; none starts the embedded Kafka."
    )
    properties: dict[str, str] = Field(
        default_factory=dict, description="More librdkafka properties for every client, such as TLS and SASL."
    )
    port: Port | None = Field(None, description="The embedded Kafka's port; none takes a free one and keeps it.")


class PostgresSettings(BaseModel):
    """Which PostgreSQL: a database of yours, or the embedded one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dsn: SecretStr | None = Field(
        None, min_length=1, description="libpq connection string or URI of your database; none starts the embedded one."
    )
    port: Port | None = Field(None, description="The embedded PostgreSQL's port; none takes a free one and keeps it.")


class RegistrySettings(BaseModel):
    """Which schema registry: one with the Confluent API, or the embedded one in the ``_schemas`` topic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, pattern="^https?://.+", description="The registry's URL; none uses topic _schemas.")
    username: str | None = Field(None, description="User of the registry, when it asks for one.")
    password: SecretStr | None = Field(None, description="Password of the registry's user.")
    properties: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="More properties of Confluent's client, such as ssl.ca.location."
    )


class ApiSettings(BaseModel):
    """Where the read API listens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; loopback unless told otherwise.")
    port: Port | None = Field(None, description="Port to listen on; none takes a free one.")


class WatchSettings(BaseModel):
    """Where processors and workers serve `/metrics`, `/ready` and `/live`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; loopback unless told otherwise.")
    processor_port: Port | None = Field(
        None, description="Processors' port, plus their slot; none: free ones under `kafold up`, else no server."
    )
    worker_port: Port | None = Field(
        None, description="Workers' port, plus their slot; none: free ones under `kafold up`, else no server."
    )


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


class Settings(BaseSettings):
    """All that kafold can be told from outside; read it with :func:`load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER, extra="forbid", frozen=True
    )

    home: Annotated[Path, AfterValidator(_absolute)] = Field(
        Path(".kafold"),
        validate_default=True,
        description="Folder of the embedded engines' data, of local state and of logs.",
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="Which Kafka.")
    postgres: PostgresSettings = Field(default_factory=PostgresSettings, description="Which PostgreSQL.")
    registry: RegistrySettings = Field(default_factory=RegistrySettings, description="Which schema registry.")
    partitions: int = Field(
        4, ge=1, le=1000, description="Partitions of every topic of an application; fixed once its topics exist."
    )
    replication_factor: int = Field(1, ge=1, le=10, description="Replicas of every topic; 3 in production.")
    dedupe_window_s: int = Field(
        7 * 24 * 3600, ge=60, description="How long a command id is remembered, so that a repeated command is answered."
    )
    snapshot_events: int = Field(
        100_000,
        ge=0,
        description="A partition's snapshots are renewed when so many events have followed; 0: none are taken or read.",
    )
    api: ApiSettings = Field(default_factory=ApiSettings, description="Where the read API listens.")
    watch: WatchSettings = Field(default_factory=WatchSettings, description="Where the other parts are watched.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of the sources: what the caller gives, then the environment, then the file."""
        del dotenv_settings, file_secret_settings  # not offered: one file and the environment are enough to look in
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=_file_values())


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment and the file.

    Args:
        overrides: values that win over both, as nested dictionaries (the command line's options).

    Raises:
        SettingsError: with the setting's name and what to do.
    """
    _refuse_unknown_variables(os.environ)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_explain(error.errors()[0])) from None
    except UnreadableValueError as error:
        raise SettingsError(f"{error}: write it as JSON, or one variable for each of its keys.") from None


def _file_values() -> dict[str, Any]:
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named or CONFIG_FILE)
    if named is None and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"cannot read the settings file {path} ({error.strerror}): create it or correct {CONFIG_VARIABLE}."
        ) from None
    except ValueError as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}. Correct that line.") from None


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """pydantic-settings passes over an unknown variable, so a slip of the pen would silently change nothing."""
    for name in environment:
        if not name.startswith(ENV_PREFIX) or name == CONFIG_VARIABLE:
            continue
        key = name.removeprefix(ENV_PREFIX).split(ENV_DELIMITER)[0].lower()
        if key not in Settings.model_fields:
            raise SettingsError(f"unknown setting {name}: unset it, or use one of {_known_keys(Settings)}.")


def _explain(error: ErrorDetails) -> str:
    """One problem in one line, named as the file and as the environment name it. Never the value: it may be secret."""
    path = [str(part) for part in error["loc"]]
    variable = ENV_PREFIX + ENV_DELIMITER.join(path).upper()
    name = f"{'.'.join(path)} (or {variable})"
    if error["type"] == "extra_forbidden":
        return f"unknown setting {name}: remove it, or use one of {_known_keys(_model_at(path[:-1]))}."
    return f"bad value for setting {name}: {error['msg']}."


def _model_at(path: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Settings
    for part in path:
        annotation = model.model_fields[part].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return model


def _known_keys(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)
