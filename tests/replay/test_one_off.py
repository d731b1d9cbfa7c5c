"""A one-off read model is a plain fold up to its moment, wherever its rows go; what is refused leaves nothing."""

import csv
import importlib.util
import json
import os
import random
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.one_off import Asked, Written, check_projection, write_one_off
from schemas.errors import DefinitionError, InvalidPosition, KafoldError
from schemas.position import Position
from streams.domain.shop.app import shop
from streams.kernel.application import AnyProjection
from streams.postgres.checkpoints import Reader
from streams.replay.errors import CannotReplay, Unfoldable, Unwritable
from streams.replay.running import OnProgress
from tests.fixtures.up import KAFOLD
from tests.replay.apps import POISON, fearful_summary, spending, unwritable_summary
from tests.replay.test_bad_input import poison
from tests.replay.test_resuming import write
from tests.replay.world import Rebuilding
from tests.worker.world import World, purchases

RARE = replace(spending, name="rare")
READER = Reader("rare", 2)
TARGET = "tests.replay.apps:spending"


def ask(
    rebuilding: Rebuilding, into: str, projection: AnyProjection = RARE, on_progress: OnProgress = lambda _: None,
    **more: Any,
) -> Written:  # fmt: skip
    asked = Asked(projection, into, **more)
    application = rebuilding.named(shop)
    return write_one_off(application, rebuilding.settings, rebuilding.endpoints, asked, on_progress)


def table(rebuilding: Rebuilding) -> str:
    """A place for a table that the checksum finds, in a schema that is not kafold's."""
    schema = f"of_{rebuilding.world.application.name}".replace("-", "_")
    with psycopg.connect(rebuilding.world.dsn) as connection:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'.encode())
    return f"{schema}.found"


def rows_of(rebuilding: Rebuilding, into: str) -> list[tuple[Any, ...]]:
    return rebuilding.ask(f"SELECT * FROM {into} ORDER BY 1")  # noqa: S608  (a table of this test)


def expected(rebuilding: Rebuilding, projection: AnyProjection = RARE) -> list[tuple[Any, ...]]:
    rows = rebuilding.world.expected(projection)
    return [tuple(rows[key].__dict__.values()) for key in sorted(rows)]


def test_a_table_at_a_position_and_nothing_is_registered(rebuilding: Rebuilding) -> None:
    world, into = rebuilding.world, table(rebuilding)
    write(world, 1, 4000)
    then, rows = world.position, expected(rebuilding)
    books = rebuilding.ask("SELECT * FROM kafold.projections ORDER BY 1, 2, 3")
    write(world, 2, 2000)
    written = ask(rebuilding, into, until=str(then))
    assert (written.rows, written.position) == (len(rows), then)
    assert rows_of(rebuilding, into) == rows
    assert rows_of(rebuilding, ask(rebuilding, f"{into}_now").into) == expected(rebuilding)
    assert rebuilding.ask("SELECT * FROM kafold.projections ORDER BY 1, 2, 3") == books
    assert rebuilding.checkpoints(READER) == {}


def test_a_time_takes_what_was_decided_until_then(rebuilding: Rebuilding) -> None:
    world, chance = rebuilding.world, random.Random(3)
    world.writer().burst(purchases(chance, 2000, 100, world.versions), age_s=3600)
    rows = expected(rebuilding)
    world.writer().burst(purchases(chance, 2000, 100, world.versions))
    last_ms = max(each.metadata.time_ms for each in world.committed[:2000])
    into = table(rebuilding)
    ask(rebuilding, into, until=datetime.fromtimestamp(last_ms / 1000, UTC).isoformat())
    assert rows_of(rebuilding, into) == rows != expected(rebuilding)


@pytest.mark.parametrize("rows_max", [None, 50])
def test_a_fold_larger_than_memory_spills_and_is_the_same(rebuilding: Rebuilding, rows_max: int | None) -> None:
    write(rebuilding.world, 4, 6000)
    into = table(rebuilding)
    written = ask(rebuilding, into, rows_max=rows_max)
    assert written.spilled is (rows_max is not None)
    assert rows_of(rebuilding, into) == expected(rebuilding)


@pytest.mark.parametrize("rows_max", [None, 50])
@pytest.mark.parametrize("kind", ["csv", "arrow", "parquet", "duckdb"])
def test_files_hold_the_same_rows(rebuilding: Rebuilding, tmp_path: Path, kind: str, rows_max: int | None) -> None:
    write(rebuilding.world, 5, 2000)
    path, rows = tmp_path / f"found.{kind}", expected(rebuilding)
    written = ask(rebuilding, str(path), format=kind, rows_max=rows_max)
    assert written.rows == len(rows)
    assert read(path, kind) == (
        [tuple("" if each is None else str(each) for each in row) for row in rows] if kind == "csv" else rows
    )
    assert [each.name for each in tmp_path.iterdir() if "found" in each.name] == [path.name]


def read(path: Path, kind: str) -> list[tuple[Any, ...]]:
    if kind == "csv":
        with path.open(newline="") as file:
            return [tuple(row) for row in csv.reader(file)][1:]
    if kind == "duckdb":
        with duckdb.connect(str(path), read_only=True) as database:
            return database.execute("SELECT * FROM rare ORDER BY 1").fetchall()
    found = pq.read_table(path) if kind == "parquet" else pa.ipc.open_file(path).read_all()
    return [tuple(row.values()) for row in found.to_pylist()]


def test_where_it_cannot_go(rebuilding: Rebuilding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(rebuilding.world, 6, 2000)
    into, there = table(rebuilding), tmp_path / "there.csv"
    ask(rebuilding, into)
    before = rows_of(rebuilding, into)
    there.write_text("mine")
    name = rebuilding.world.application.name
    for bad, kind, text in [
        (into, None, "is there already, and stays as it is"),
        ("nowhere.found", None, "there is no schema nowhere"),
        ("found", None, r"write it as schema\.table"),
        ("a.b.c", None, r"write it as schema\.table"),
        (f"{name}.customer_summary_v9", None, "is kept by kafold"),
        ("kafold.found", None, "is kept by kafold"),
        (f"public.{'x' * 64}", None, "longer than the 63 bytes"),
        (str(there), "csv", "is there already, and stays as it is"),
        (str(tmp_path / "no" / "found.csv"), "csv", "there is no folder"),
        (str(tmp_path / "found.xls"), "xls", "it is one of csv, arrow, parquet, duckdb"),
    ]:
        with pytest.raises(CannotReplay, match=text):
            ask(rebuilding, bad, format=kind)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(CannotReplay, match=r"needs pyarrow and duckdb: pip install 'kafold\[files\]'"):
        ask(rebuilding, str(tmp_path / "found.duckdb"), format="duckdb")
    assert (rows_of(rebuilding, into), there.read_text()) == (before, "mine")


def test_moments_that_the_log_does_not_have(rebuilding: Rebuilding) -> None:
    world, into = rebuilding.world, table(rebuilding)
    with pytest.raises(CannotReplay, match="there are no events yet"):
        ask(rebuilding, into, until="2026-01-01")
    write(world, 7, 2000)
    ends, uuids = world.position.offsets, world.position.topic_ids
    place = (world.topic, 0)
    bad: list[tuple[str, type[KafoldError], str]] = [
        ("yesterday", InvalidPosition, "neither a position"),
        ("1997-01-01", CannotReplay, "the log begins at 20.*nothing was decided before"),
        (f"{world.topic}@x:0=zero", InvalidPosition, "is not of the form"),
        (f"{world.topic}@other:0=1,1=1,2=1,3=1", InvalidPosition, "another topic named"),
        (str(Position({place: 1}, uuids)), InvalidPosition, "says nothing of partition 1"),
        (str(Position({**ends, place: 10**9}, uuids)), InvalidPosition, "which ends at"),
        (str(Position({**ends, (world.topic, 9): 1}, uuids)), InvalidPosition, "no such partition"),
    ]
    for until, kind, text in bad:
        with pytest.raises(kind, match=text):
            ask(rebuilding, into, until=until)
    assert rebuilding.ask("SELECT to_regclass(%s)", into) == [(None,)]


def test_what_is_no_projection_of_the_application() -> None:
    assert check_projection(spending, TARGET, shop) is spending
    for found, text in [(None, "has no such name"), (shop, "is a Application, not a Projection")]:
        with pytest.raises(DefinitionError, match=text):
            check_projection(found, TARGET, shop)
    with pytest.raises(DefinitionError, match=r"folds account, which the application shop does not have.*-A"):
        check_projection(
            spending, TARGET, replace(shop, aggregates=shop.aggregates[:0], projections=[], process_managers=[])
        )


def test_what_cannot_be_folded_or_written_leaves_nothing(rebuilding: Rebuilding, tmp_path: Path) -> None:
    poison(rebuilding.world)
    into = table(rebuilding)
    with pytest.raises(Unfoldable, match=rf"{POISON}.*leave its key's further events out with --park"):
        ask(rebuilding, into, fearful_summary)
    assert ask(rebuilding, into, fearful_summary, park=True).parked == 1
    for rows_max in (None, 20):
        with pytest.raises(Unwritable, match=r"a row of .* cannot be written: "):
            ask(rebuilding, f"{into}_2", unwritable_summary, rows_max=rows_max)
    with pytest.raises(Unwritable, match="column total_cents"):
        ask(rebuilding, str(tmp_path / "found.parquet"), unwritable_summary, format="parquet")
    assert rebuilding.ask("SELECT to_regclass(%s)", f"{into}_2") == [(None,)]
    assert [each for each in tmp_path.iterdir() if "found" in each.name] == []


def command(world: World, home: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        "KAFOLD_KAFKA__BOOTSTRAP_SERVERS": world.kafka.bootstrap_servers,
        "KAFOLD_POSTGRES__DSN": world.dsn,
        "KAFOLD_HOME": str(home),
        "REPLAY_TEST_NAME": world.application.name,
        "COLUMNS": "200",
    }
    return subprocess.Popen(
        [*KAFOLD, "-A", "tests.replay.apps:plain", "replay", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def test_the_command_and_its_json(rebuilding: Rebuilding, tmp_path: Path) -> None:
    write(rebuilding.world, 8, 2000)
    path = tmp_path / "found.csv"
    arguments = ["--projection", TARGET, "--into", str(path), "--format", "csv", "--json"]
    out, errors = (process := command(rebuilding.world, tmp_path, *arguments)).communicate(timeout=60)
    assert process.returncode == 0, errors
    facts = json.loads(out)
    assert (facts["rows"], facts["format"], facts["parked"]) == (len(expected(rebuilding)), "csv", 0)
    assert Position.parse(facts["position"]).reached(rebuilding.world.position)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "name a projection"),
        (["customer_summary", "--projection", TARGET], 2, "NAME does not go with --projection"),
        (["--projection", TARGET, "--compare"], 2, "--compare does not go with --projection"),
        (["--projection", TARGET], 2, "needs --into"),
        (["customer_summary", "--until", "2026-01-01"], 2, "--until goes with --projection"),
        (["--projection", "nonsense", "--into", "public.x"], 3, "write it as package.module:name"),
        (["--projection", "no.such:thing", "--into", "public.x"], 3, "there is no module no"),
        (["--projection", "tests.replay.apps:plain", "--into", "public.x"], 3, "not a Projection"),
    ],
)
def test_rubbish_at_the_command_line(
    world: World, tmp_path: Path, arguments: list[str], status: int, text: str
) -> None:
    process = command(world, tmp_path, *arguments)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, text in errors) == (status, True), errors
    assert "Traceback" not in errors


def test_stopped_it_leaves_nothing(rebuilding: Rebuilding, tmp_path: Path) -> None:
    write(rebuilding.world, 9)
    into = table(rebuilding)

    def interrupt(_progress: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # a second one would end at once: the first is looked at after this batch

    for where, kind in ((into, None), (str(tmp_path / "found.csv"), "csv")):
        with pytest.raises(KafoldError, match="stopped"):
            ask(rebuilding, where, format=kind, on_progress=interrupt)
    assert rebuilding.ask("SELECT to_regclass(%s)", into) == [(None,)]
    assert [each for each in tmp_path.iterdir() if "found" in each.name] == []
