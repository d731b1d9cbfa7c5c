"""Kafka's jars: only what was pinned is ever run. The download itself is replaced here."""

import hashlib
from pathlib import Path

import pytest

from infra.engines import jars
from infra.engines.errors import JarError
from infra.engines.jars import Jar, class_path, read_pinned

GOOD = b"good"
JAR = Jar("org.example.deep", "thing", "1.0", hashlib.sha256(GOOD).hexdigest())


class Server:
    """Stands for whoever serves jars; counts."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.served = 0

    def fetch(self, jar: Jar, cache: Path) -> None:
        self.served += 1
        jar.path(cache).parent.mkdir(parents=True, exist_ok=True)
        jar.path(cache).write_bytes(self.content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(GOOD)
    monkeypatch.setattr(jars, "_fetch_unchecked", server.fetch)
    return server


def test_pinned_jars_are_all_hashed() -> None:
    pinned = read_pinned()
    assert {jar.version for jar in pinned if jar.group == "org.apache.kafka"} == {"4.2.0"}
    assert all(len(jar.sha256) == 64 for jar in pinned)


def test_jars_are_downloaded_once(server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    path = class_path([JAR], tmp_path, said.append)
    assert path == str(tmp_path / "org/example/deep/thing/1.0/thing-1.0.jar")
    assert said[0] == "downloading Kafka: 1 jars, once per user"
    class_path([JAR], tmp_path, said.append)
    assert server.served == 1


def test_half_a_jar_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    JAR.path(tmp_path).parent.mkdir(parents=True)
    JAR.path(tmp_path).write_bytes(GOOD[:2])
    class_path([JAR], tmp_path, lambda _: None)
    assert JAR.path(tmp_path).read_bytes() == GOOD
    assert server.served == 1


def test_another_jar_than_the_pinned_is_refused(server: Server, tmp_path: Path) -> None:
    server.content = b"bad"
    with pytest.raises(JarError, match=r"thing-1\.0\.jar is not the one"):
        class_path([JAR], tmp_path, lambda _: None)
    assert not JAR.path(tmp_path).exists()


def test_no_network_is_told_without_an_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jgo.maven.Artifact.resolve", _no_network)
    with pytest.raises(JarError, match="check the network") as caught:
        class_path([JAR], tmp_path, lambda _: None)
    assert "secret.example" not in str(caught.value)


def _no_network(_artifact: object) -> Path:
    raise ConnectionError("https://secret.example/ does not answer")
