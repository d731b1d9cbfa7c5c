"""The containers are set as the embedded engines are."""

from pathlib import Path

import pytest

from infra.engines import kafka, postgres

COMPOSE = (Path(__file__).parents[2] / "infra" / "compose.yaml").read_text()
# What is in a container of its own has another address, and its data another place.
_PLACES = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}
_PROPERTIES = kafka._server_properties(Path("/data"), (9092, 9093))


@pytest.mark.parametrize("key", sorted(_PROPERTIES.keys() - _PLACES))
def test_kafka_is_set_alike(key: str) -> None:
    variable = "KAFKA_" + key.upper().replace(".", "_")
    assert f"{variable}: {_PROPERTIES[key]}\n" in COMPOSE.replace('"', "")


def test_postgres_is_set_alike() -> None:
    for name in ("max_connections", "shared_buffers", "jit"):
        assert f'"{name}={postgres._OPTIONS[name]}"' in COMPOSE
    assert f"POSTGRES_USER: {postgres.ROLE}\n" in COMPOSE
    assert f"POSTGRES_DB: {postgres.DATABASE}\n" in COMPOSE
    assert "--locale-provider=builtin --builtin-locale=C.UTF-8" in COMPOSE
