"""The whole shop on a cluster that wants to know whom it talks to: from a command to its row, by every client."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.secured import SecuredKafka, secured_kafka
from tests.fixtures.up import KAFOLD, kafold_up
from tests.registry.writable import certificate_in
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    folder = tmp_path_factory.mktemp("secured")
    with secured_kafka(folder, certificate_in(folder)) as made:
        yield made


@pytest.mark.parametrize("way", ["with_certificate", "with_password"])
def test_a_command_becomes_a_row(secured: SecuredKafka, way: str, tmp_path: Path) -> None:
    variables = secured.variables(getattr(secured, way))
    with kafold_up(tmp_path, **variables) as running:
        command = [*KAFOLD, "send", "CreateUser", f"user_id={way}", "email=ada@b", "name=Ada", "--ask"]
        asked = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**running.environment, **variables}
        )
        assert asked.returncode == 0, asked.stdout + asked.stderr
        wait_until(lambda: httpx.get(f"{running.api_url}/users/{way}").is_success, "the row is there")


@pytest.mark.parametrize(
    ("way", "wrong", "told"),
    [
        ("with_password", {"sasl.password": "guessed"}, "Authentication failed: Invalid username or password"),
        ("with_password", {"ssl.ca.location": ""}, "verify that ssl.ca.location is correctly configured"),
        ("with_certificate", {"ssl.certificate.location": "", "ssl.key.location": ""}, "certificate required"),
        ("with_certificate", {"security.protocol": "PLAINTEXT"}, "security.protocol"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    secured: SecuredKafka, way: str, wrong: dict[str, str], told: str, dsn: str, tmp_path: Path
) -> None:
    properties = {name: value for name, value in {**getattr(secured, way), **wrong}.items() if value}
    command = [*KAFOLD, "send", "CreateUser", "user_id=eve", "email=eve@b", "name=Eve", "--ask"]
    variables = {"KAFOLD_HOME": str(tmp_path), "KAFOLD_POSTGRES__DSN": dsn, **secured.variables(properties)}
    refused = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **variables}, timeout=120
    )
    assert refused.returncode != 0
    assert told in refused.stderr, refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr
