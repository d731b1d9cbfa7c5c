"""The whole shop beside a registry of somebody else's, over HTTPS with a password: from a command to its row."""

import json
import subprocess
from pathlib import Path

import httpx
from confluent_kafka import Consumer, TopicPartition

from infra.engines import engines
from infra.preparing import kafka_at
from infra.settings import load_settings
from streams.domain.shop.app import shop
from tests.fixtures.up import KAFOLD, kafold_up
from tests.registry.writable import certificate_in, writable_registry
from tests.waiting import wait_until

LOGIN = ("kafold", "s3cret:with colon")


def test_a_command_becomes_a_row_with_the_schemas_of_another_registry(tmp_path: Path) -> None:
    certificate, home = certificate_in(tmp_path), tmp_path / "home"
    home.mkdir()
    with writable_registry(LOGIN, certificate) as registry:
        variables = {
            "KAFOLD_REGISTRY__URL": registry.url,
            "KAFOLD_REGISTRY__USERNAME": LOGIN[0],
            "KAFOLD_REGISTRY__PASSWORD": LOGIN[1],
            "KAFOLD_REGISTRY__PROPERTIES": json.dumps({"ssl.ca.location": str(certificate.certificate)}),
        }
        with kafold_up(home, **variables) as running:
            command = [*KAFOLD, "send", "CreateUser", "user_id=ada", "email=ada@b", "name=Ada", "--ask"]
            asked = subprocess.run(
                command, capture_output=True, text=True, check=False, env={**running.environment, **variables}
            )
            assert asked.returncode == 0, asked.stdout + asked.stderr
            wait_until(lambda: httpx.get(f"{running.api_url}/users/ada").is_success, "the row is there")
            assert httpx.get(f"{running.api_url}/users/ada").json()["email"] == "ada@b"
            with engines(load_settings(home=home)) as endpoints:
                consumer = Consumer(kafka_at(endpoints).consumer(group_id="nobody"))
                embedded = consumer.get_watermark_offsets(TopicPartition("_schemas", 0), timeout=10)
                consumer.close()
    assert set(shop.subjects()) <= set(registry.registry.subjects)
    assert embedded == (0, 0)
