"""The command line as a person meets it: what it prints, and its exit code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.up import KAFOLD, Up


def kafold(*arguments: str, home: Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KAFOLD_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [*KAFOLD, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=cwd
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = kafold("--help", home=tmp_path)
    assert shown.returncode == 0
    for command in ("up", "demo", "send", "status", "doctor", "processor", "worker", "api"):
        assert re.search(rf"\b{command}\b", shown.stdout)


def test_help_loads_no_engine_and_no_framework() -> None:
    heavy = "('faust', 'fastapi', 'confluent_kafka', 'psycopg')"
    code = f"import sys, infra.cli.main; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["fly"], 2, "No such command 'fly'"),
        (["up", "--processors", "0"], 2, "--processors"),
        (["-A", "nowhere:app", "status"], 3, "error: -A nowhere:app: there is no module nowhere"),
        (["-A", "nowhere", "status"], 3, "error: -A nowhere: write it as package.module:name"),
        (["-A", "streams.domain.shop.app:user", "status"], 3, "user is no Application"),
        (["status"], 3, "do not run: start `kafold up`"),
        (["send", "Fly"], 3, "no command 'Fly'; there are: CreateUser"),
        (["send", "CreateUser", "user_id=1"], 3, "email: Field required"),
        (["send", "CreateUser", "{"], 3, "Invalid JSON"),
        (["send", "CreateUser", "user_id"], 3, "not of the form field=value"),
        (["send", "CreateUser", "user_id=1", "email=a@b", "name=A", "age=3"], 3, "age: Extra inputs"),
        (
            ["send", "RecordPurchase", "account_id=1", "purchase_id=1", "day=x", "quantity=1", "amount_cents=1"],
            3,
            "day",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    shown = kafold(*arguments, home=tmp_path)
    assert shown.returncode == code, shown.stderr
    assert said in shown.stderr
    assert "Traceback" not in shown.stderr
    if code == 3:
        assert len(shown.stderr.strip().splitlines()) == 1


def test_a_bad_setting_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "kafold.toml").write_text("partitions = 0\n")
    shown = kafold("status", home=tmp_path, cwd=tmp_path)
    assert shown.returncode == 3
    assert shown.stderr.startswith("error: bad value for setting partitions")


def test_doctor_says_what_to_do(tmp_path: Path) -> None:
    shown = kafold("doctor", home=tmp_path)
    assert shown.returncode == 1
    assert "→ start `kafold up`" in shown.stdout


def test_doctor_finds_a_running_shop_well(up: Up) -> None:
    shown = kafold("doctor", "--json", home=up.home)
    assert shown.returncode == 0, shown.stdout
    assert {"Kafka", "PostgreSQL", "topics", "schemas", "tables"} <= {each["what"] for each in json.loads(shown.stdout)}


def test_send_asks_and_shows_the_outcome(up: Up) -> None:
    fields = ["user_id=from-the-shell", "email=a@b", "name=Ann"]
    accepted = kafold("send", "CreateUser", *fields, "--ask", "--json", home=up.home)
    assert accepted.returncode == 0, accepted.stderr
    assert json.loads(accepted.stdout)["result"] == "from-the-shell"
    rejected = kafold("send", "CreateUser", *fields, "--ask", home=up.home)
    assert rejected.returncode == 1
    assert "already-exists" in rejected.stdout
    conflict = kafold("send", "CreateUser", *fields, "--ask", "--json", "--expected-version", "7", home=up.home)
    assert json.loads(conflict.stdout)["problem"] == "version-conflict"


def test_status_knows_every_partition(up: Up) -> None:
    shown = json.loads(kafold("status", "--json", home=up.home).stdout)
    assert len(shown["processors"]) == 2 * 4
    assert {each["reader"] for each in shown["projections"]} == {"users", "customer_summary", "daily_sales"}
