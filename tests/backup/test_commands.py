"""`kafold backup` and `kafold restore` as a person meets them: what they print, their exit codes, and kill -9."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.cli.failures import CANNOT
from streams.backup.comparing import check_equal
from streams.backup.folder import Folder
from streams.kafka.config import Kafka
from streams.kafka.topics import existing_topics
from streams.kernel.application import Application
from tests.fixtures.shop import PARTITIONS
from tests.fixtures.up import KAFOLD
from tests.waiting import wait_until

MODULE = """
from dataclasses import replace
from streams.domain.shop.app import shop

app = replace(shop, name="NAME")
"""
RUN_S_MAX = 120

Run = Callable[..., "subprocess.Popen[str]"]
Done = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(application: Application, database: str, tmp_path: Path) -> Run:
    """Start `kafold` for the application on a cluster."""
    (tmp_path / "backed_up.py").write_text(MODULE.replace("NAME", application.name))

    def start(cluster: Kafka, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        environment = {
            **os.environ, "PYTHONPATH": str(tmp_path), "KAFOLD_HOME": str(tmp_path / "home"), "NO_COLOR": "1",
            "COLUMNS": "200", "KAFOLD_KAFKA__BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
            "KAFOLD_POSTGRES__DSN": database, "KAFOLD_PARTITIONS": str(PARTITIONS), **variables,
        }  # fmt: skip
        return subprocess.Popen(
            [*KAFOLD, "-A", "backed_up:app", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    return start


@pytest.fixture
def done(run: Run) -> Done:
    """Run it to its end; return its exit code, and what it printed and said."""

    def wait(cluster: Kafka, *arguments: str, **variables: str) -> tuple[int, str, str]:
        with run(cluster, *arguments, **variables) as process:
            printed, said = process.communicate(timeout=RUN_S_MAX)
        assert "Traceback" not in said, said
        return process.returncode, printed, said

    return wait


@pytest.mark.usefixtures("backup")  # for the traffic that it is of
def test_there_and_back(
    application: Application, cluster: Kafka, empty_cluster: Kafka, done: Done, tmp_path: Path
) -> None:
    folder = str(tmp_path / "made")
    code, printed, said = done(cluster, "backup", folder, "--json")
    assert code == 0, said
    made = json.loads(printed)
    assert made["application"] == application.name
    assert made["records"] == sum(each["records"] for each in made["topics"]) > 0
    assert all(len(each["sha256"]) == 64 for each in made["topics"])

    code, printed, said = done(cluster, "backup", folder, "--verify")
    assert (code, f"{made['records']:,} records are whole" in printed) == (0, True), said
    code, printed, said = done(empty_cluster, "restore", folder, "--json")
    assert (code, json.loads(printed)) == (0, made), said
    check_equal(empty_cluster, Folder(Path(folder)).manifest())
    again = tmp_path / "again"
    code, printed, said = done(empty_cluster, "backup", str(again), "--json")
    assert code == 0, said
    topics = {each["name"]: each for each in json.loads(printed)["topics"]}
    assert topics == {each["name"]: each for each in made["topics"]}


def test_a_restore_that_was_killed_starts_over(
    application: Application, backup: Folder, empty_cluster: Kafka, run: Run, done: Done
) -> None:
    manifest = backup.manifest()
    events = {each.name for each in manifest.topics if each.kind == "events"}
    marker = f"{application.name}.restoring"
    for until in ({marker}, {marker, *events}):
        with run(empty_cluster, "restore", str(backup.path)) as process:
            wait_until(lambda: until <= set(existing_topics(empty_cluster)), "it is under way", RUN_S_MAX)  # noqa: B023
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert marker in existing_topics(empty_cluster)
        code, _, said = done(empty_cluster, "processor")
        assert code == CANNOT
        assert "`kafold restore` again" in said
    code, _, said = done(empty_cluster, "restore", str(backup.path))
    assert code == 0, said
    check_equal(empty_cluster, manifest)
    assert marker not in existing_topics(empty_cluster)


def test_rubbish_is_a_line_and_an_exit_code(
    backup: Folder, cluster: Kafka, empty_cluster: Kafka, done: Done, tmp_path: Path
) -> None:
    folder, nothing = str(backup.path), str(tmp_path / "nothing")
    other = str(PARTITIONS + 1)
    for arguments, code, text, variables in (
        (["backup"], 2, "DIR", {}),
        (["restore"], 2, "DIR", {}),
        (["backup", folder], CANNOT, "is a whole backup already", {}),
        (["backup", str(tmp_path / "backed_up.py")], CANNOT, "backed_up.py", {}),
        (["backup", nothing, "--verify"], CANNOT, "nothing", {}),
        (["restore", nothing], CANNOT, "nothing", {}),
        (["restore", folder], CANNOT, f"set KAFOLD_PARTITIONS={PARTITIONS}", {"KAFOLD_PARTITIONS": other}),
        (["restore", folder], CANNOT, "nothing was restored", {}),
        (["restore", folder], CANNOT, "unset registry.url", {"KAFOLD_REGISTRY__URL": "http://127.0.0.1:1"}),
    ):
        shown = done(cluster, *arguments, **variables)
        assert (shown[0], text in shown[2]) == (code, True), (arguments, shown)
    assert not existing_topics(empty_cluster) - {"__consumer_offsets", "__transaction_state"}
    [(place, _, partition), *_] = [each for each in backup.manifest().places() if each[2].segments]
    path = backup.segment(place, 0)
    path.write_bytes(path.read_bytes()[:-1])
    assert partition.segments
    for arguments in (["backup", folder, "--verify"], ["restore", folder]):
        shown = done(empty_cluster, *arguments)
        assert (shown[0], f"{path} is not as it was written" in shown[2]) == (CANNOT, True), shown
