"""The README tells the truth: its runnable blocks run, and its worked example is what the codec writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from schemas.metadata import CommandMetadata
from schemas.shop.users import CreateUser
from streams.domain.shop.app import shop
from tests.fixtures.up import Up

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def runnable(mark: str) -> list[str]:
    """Return the commands of the blocks with this mark."""
    blocks = re.findall(rf"<!-- {mark} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert blocks
    return [line for block in blocks for line in block.splitlines()]


class OneId:
    """A registry in which every schema has the id 1."""

    def id_of(self, subject: str, schema: str) -> int:
        return 1 if subject and schema else 0

    def schema_of(self, schema_id: int) -> str:
        raise NotImplementedError(schema_id)


@pytest.fixture(scope="module")
def environment(up: Up) -> dict[str, str]:
    """What a person has who has activated the environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**up.environment, "PATH": path}


@pytest.mark.parametrize("command", runnable("runnable"))
def test_a_command_of_the_readme_runs(command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", runnable("runnable: http"))
def test_an_address_of_the_readme_answers(command: str, up: Up) -> None:
    address = command.removeprefix("curl -s ").strip('"').replace("$API", up.api_url)
    response = httpx.get(address, timeout=30)
    assert response.status_code in ({200, 404} if address.endswith("/users/ada") else {200}), response.text


def test_the_worked_example_is_what_the_codec_writes() -> None:
    lines = re.search(r"```text\n(00 00 00 00 01 .*?)```", README, re.DOTALL)
    assert lines
    shown = "".join(line[:48] for line in lines[1].splitlines()).split()
    codec = shop.command_codec(shop.aggregate("user"), OneId())
    ada = CreateUser(user_id="ada", email="ada@example.org", name="Ada")
    assert bytes(int(each, 16) for each in shown) == codec.encode(ada, CommandMetadata())


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
