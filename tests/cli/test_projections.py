"""`kafold projections` and `kafold parked` as a person meets them: what they print, and their exit codes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.engines import Endpoints
from tests.fixtures.up import KAFOLD, Up
from tests.waiting import wait_until

LAST_ONE_WINS = """
from dataclasses import replace
from streams.domain.shop.app import shop
from streams.domain.shop.projections import Sale, daily_sales
from schemas.metadata import EventMetadata
from schemas.shop.rows import DailySales

def last(row: DailySales, event: Sale, meta: EventMetadata) -> DailySales:
    return row.but(total_cents=event.amount_cents)

def picky(row: DailySales, event: Sale, meta: EventMetadata) -> DailySales:
    raise KeyError("not yet")

app = replace(shop, projections=[replace(daily_sales, name="last_sale", project=last)])
raising = replace(shop, projections=[replace(daily_sales, name="picky", project=picky)])
"""


def kafold(*arguments: str, home: Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KAFOLD_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [*KAFOLD, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=cwd
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["projections", "show", "sales"], 3, "no projection 'sales'; there are: users"),
        (["projections", "diff", "sales"], 3, "no projection 'sales'"),
        (["projections", "check", "sales"], 3, "no projection 'sales'"),
        (["projections", "check", "--events", "1"], 2, "--events"),
        (["projections", "list"], 3, "do not run: start `kafold up`"),
        (["projections", "explain", "daily_sales", "yesterday"], 3, "'yesterday' is no key of daily_sales"),
        (["projections", "explain", "daily_sales"], 2, "KEY"),
        (["projections", "fly"], 2, "No such command"),
        (["projections", "row", "sales", "x", "--as-of", "1"], 3, "no projection 'sales'"),
        (["projections", "row", "users", "ada"], 2, "--as-of"),
        (["projections", "row", "users", "ada", "--as-of", "yesterday"], 3, "'yesterday' is neither a position"),
        (["projections", "row", "daily_sales", "today", "--as-of", "1"], 3, "'today' is no key of daily_sales"),
        (["projections", "row", "users", "ada", "--as-of", "1", "--timeout-s", "-1"], 2, "--timeout-s"),
        (["projections", "row", "users", "ada", "--as-of", "1"], 3, "do not run: start `kafold up`"),
        (["parked", "retry"], 2, "name a key, or --error TYPE, or --all"),
        (["parked", "retry", "users", "--wait-s", "-1"], 2, "--wait-s"),
        (["parked", "list"], 3, "do not run: start `kafold up`"),
    ],
)
def test_rubbish_is_a_line_and_an_exit_code(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    shown = kafold(*arguments, home=tmp_path)
    assert shown.returncode == code, shown.stderr
    assert said in shown.stderr
    assert "Traceback" not in shown.stderr


def test_show_needs_no_engine_and_tells_columns_and_table(tmp_path: Path) -> None:
    shown = json.loads(kafold("projections", "show", "customer_summary", "--json", home=tmp_path).stdout)
    assert shown["columns"][1] == {
        "name": "first_purchase", "type": "date", "nullable": True, "comment": "day of the first purchase",
    }  # fmt: skip
    assert 'CREATE TABLE IF NOT EXISTS "shop"."customer_summary_v1"' in shown["ddl"]
    assert shown["sources"] == ["shop.account.events"]
    assert "day of the first purchase" in kafold("projections", "show", "customer_summary", home=tmp_path).stdout


def test_check_passes_what_commutes_and_names_the_first_pair_that_does_not(tmp_path: Path) -> None:
    (tmp_path / "sales.py").write_text(LAST_ONE_WINS)
    assert kafold("projections", "check", home=tmp_path).returncode == 0
    failed = kafold("-A", "sales:app", "projections", "check", "--json", home=tmp_path, cwd=tmp_path)
    assert failed.returncode == 1
    [found] = json.loads(failed.stdout)
    assert "the other way round" in found["clash"]
    assert found["clash"].count("account_id='account-") == 2
    raised = kafold("-A", "sales:raising", "projections", "check", home=tmp_path, cwd=tmp_path)
    assert raised.returncode == 3
    assert "picky: project or key raised KeyError" in raised.stderr


def test_a_running_shop_is_listed_compared_and_explained(up: Up, up_endpoints: Endpoints) -> None:
    listed = {each["name"]: each for each in json.loads(kafold("projections", "list", "--json", home=up.home).stdout)}
    assert listed["daily_sales"]["shown"]
    assert listed["daily_sales"]["key"] == "day (date, shared by partitions)"
    assert "customer_summary" in kafold("projections", "list", home=up.home).stdout
    assert kafold("projections", "diff", home=up.home).returncode == 0

    purchase = ["account_id=explained", "purchase_id=p1", "day=1999-12-31", "quantity=2", "amount_cents=700"]
    assert kafold("send", "OpenAccount", "account_id=explained", "--ask", home=up.home).returncode == 0
    assert kafold("send", "RecordPurchase", *purchase, "--ask", home=up.home).returncode == 0
    folded = "SELECT total_cents FROM shop.daily_sales WHERE day = '1999-12-31'"
    with psycopg.connect(up_endpoints.dsn, autocommit=True) as connection:
        wait_until(lambda: connection.execute(folded).fetchone() == (700,), "the purchase is folded")

    opened, bought = explained(up, "customer_summary", "explained")
    assert (opened["event"], bought["event"]) == ("AccountOpened", "PurchaseRecorded")
    assert bought["changed"]["total_cents"] == {"before": 0, "after": 700}
    [scanned] = explained(up, "daily_sales", "1999-12-31")
    assert (scanned["command_id"], scanned["offset"]) == (bought["command_id"], bought["offset"])
    nobody = kafold("projections", "explain", "customer_summary", "nobody", home=up.home)
    assert (nobody.returncode, "there is no such row" in nobody.stdout) == (1, True)
    assert kafold("projections", "check", "--recorded", home=up.home).returncode == 0


def explained(up: Up, name: str, key: str) -> list[dict[str, Any]]:
    shown = kafold("projections", "explain", name, key, "--json", home=up.home)
    assert shown.returncode == 0, shown.stderr
    found: list[dict[str, Any]] = json.loads(shown.stdout)["events"]
    return found


def test_a_row_is_shown_as_it_was(up: Up) -> None:
    assert kafold("send", "OpenAccount", "account_id=then", "--ask", home=up.home).returncode == 0
    positions = []
    for number in (1, 2):
        purchase = ["account_id=then", f"purchase_id=p{number}", "day=1998-11-30", "quantity=1", "amount_cents=500"]
        sent = kafold("send", "RecordPurchase", *purchase, "--ask", "--json", home=up.home)
        positions.append(json.loads(sent.stdout)["position"])
    wait = ["--timeout-s", "60"]
    for moment, cents in [("3", 1000), ("2", 500), (positions[0], 500)]:
        code, then = row_as_of(up, "customer_summary", "then", moment, *wait)
        assert (code, then["was"], then["row"]["total_cents"]) == (0, "there", cents)
    assert row_as_of(up, "customer_summary", "then", "0")[1]["was"] == "not yet there"

    def position_of_days() -> str:
        listed = json.loads(kafold("projections", "list", "--json", home=up.home).stdout)
        return next(str(each["position"]) for each in listed if each["name"] == "daily_sales")

    def is_folded() -> bool:
        return kafold("projections", "explain", "daily_sales", "1998-11-30", home=up.home).stdout.count("Purchase") == 2

    wait_until(is_folded, "the purchases are folded", 60)
    code, then = row_as_of(up, "daily_sales", "1998-11-30", position_of_days())
    assert (code, then["row"]["total_cents"], then["events"]) == (0, 1000, 2)
    code, then = row_as_of(up, "daily_sales", "1998-11-30", "2001-01-01")
    assert (code, then["was"], then["row"]) == (1, "not yet there", None)
    shown = kafold("projections", "row", "customer_summary", "then", "--as-of", "2", home=up.home)
    assert "total_cents  500" in shown.stdout
    assert "customer_summary then: there after 2 events" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["users", "ada", "--as-of", "9999", "--timeout-s", "0"], "not yet at version 9999 of 'ada'"),
        (["users", "ada", "--as-of", "shop.user.events@x:0=1,1=1,2=1,3=1"], "another topic named shop.user.events"),
        (["daily_sales", "1997-01-01", "--as-of", "7"], "7 is a version, but rows of daily_sales are not keyed by"),
        (["daily_sales", "1997-01-01", "--as-of", "shop.account.events@x:0=1"], "another topic named shop.account"),
    ],
)
def test_a_moment_that_says_nothing_of_a_row_is_a_line(up: Up, arguments: list[str], said: str) -> None:
    shown = kafold("projections", "row", *arguments, home=up.home)
    assert (shown.returncode, said in shown.stderr) == (3, True), shown.stderr


def row_as_of(up: Up, name: str, key: str, moment: str, *more: str) -> tuple[int, dict[str, Any]]:
    shown = kafold("projections", "row", name, key, "--as-of", moment, "--json", *more, home=up.home)
    assert shown.returncode in {0, 1}, shown.stderr
    return shown.returncode, json.loads(shown.stdout)


def test_nothing_parked_is_said(up: Up) -> None:
    assert "Nothing is parked" in kafold("parked", "list", home=up.home).stdout
    assert json.loads(kafold("parked", "list", "users", "--json", home=up.home).stdout) == []
    for command in (
        ["parked", "retry", "--all"],
        ["parked", "discard", "users", "x"],
        ["parked", "show", "users", "x"],
    ):
        shown = kafold(*command, home=up.home)
        assert shown.returncode == 3
        assert "`kafold parked list`" in shown.stderr
