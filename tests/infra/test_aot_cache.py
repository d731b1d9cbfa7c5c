"""Java's AOT cache for Kafka: made once by a training run, used by every start, and done without where it fails."""

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from infra.engines import aot_cache
from infra.engines.engine import join_or_start
from infra.engines.errors import EngineStartError
from infra.engines.jars import class_path, default_cache, read_pinned
from infra.engines.kafka import KafkaEngine, java_executable

FLAGS = ["-XX:+UseG1GC"]


class Training:
    """Stands for a training run; counts. `error`: why it fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.runs = 0

    def __call__(self, folder: Path, options: Sequence[str]) -> None:
        self.runs += 1
        if self.error is not None:
            raise self.error
        option, _, made = options[0].partition("=")
        assert option == "-XX:AOTCacheOutput"
        assert Path(made).parent == folder
        Path(made).write_text("classes")


def options(cache: Path, train: Training, said: list[str] | None = None, flags: Sequence[str] = FLAGS) -> list[str]:
    return aot_cache.options(cache, java_executable(), flags, train, (said if said is not None else []).append)


def test_it_is_made_once_and_said_so(tmp_path: Path) -> None:
    train, said = Training(), list[str]()
    first = options(tmp_path, train, said)
    [made] = tmp_path.glob("*.aot")
    assert first[0] == f"-XX:AOTCache={made}"
    assert options(tmp_path, train, said) == first
    assert train.runs == len(said) == 1
    assert "once per user" in said[0]


def test_other_options_need_another_one(tmp_path: Path) -> None:
    train = Training()
    assert options(tmp_path, train) != options(tmp_path, train, flags=["-XX:+UseSerialGC"])
    assert train.runs == 2


@pytest.mark.parametrize("error", [EngineStartError("Kafka did not start"), OSError("no space left")])
def test_where_it_cannot_be_made_kafka_starts_without_and_it_is_not_tried_again(
    tmp_path: Path, error: Exception
) -> None:
    train = Training(error)
    assert options(tmp_path, train) == []
    assert options(tmp_path, train) == []
    assert train.runs == 1
    [failed] = tmp_path.glob("*.failed")
    assert str(error) in failed.read_text()
    assert not (tmp_path / "training").exists()


def test_what_a_killed_training_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "half").write_text("half")
    assert options(tmp_path, Training())
    assert not (tmp_path / "training").exists()


def test_kafka_starts_with_it_and_java_takes_it(tmp_path: Path) -> None:
    running = join_or_start(KafkaEngine(tmp_path, None), lambda _: None)
    try:
        running.await_ready()
        command = _java_of(tmp_path)
    finally:
        running.stop()
    [cache] = [each for each in command if each.startswith("-XX:AOTCache=")]
    flags = [each for each in command if each.startswith(("-XX:", "-Xm")) and each != cache]
    path = class_path(read_pinned(), default_cache(), lambda _: None)
    # With AOTMode=on Java ends with an error instead of starting without.
    java = [str(java_executable()), "-cp", path, *flags, cache, "-XX:AOTMode=on", "-version"]
    done = subprocess.run(java, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _java_of(home: Path) -> list[str]:
    """Return the command line of the broker that runs in a home."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(each.read_bytes().decode().split("\0"))
    java, properties = str(java_executable()), str(home / "kafka" / "server.properties")
    [command] = [each for each in found if each[0] == java and properties in each]
    return command
