"""A row as of a moment over HTTP: what it was, that it was not, and what is refused."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import date

import httpx
import psycopg
import pytest
from psycopg import sql

from infra.waiting import wait_until
from read_api.projection_routes import PARKED_HEADER, POSITION_HEADER
from read_api.rows_then import RowsThen
from schemas.errors import KafoldError
from schemas.registry import SchemaIds
from schemas.shop.accounts import AccountEvent, AccountOpened, PurchaseRecorded
from streams.domain.shop.app import shop
from streams.kernel.partitioner import partition_of
from tests.event_store.journal import PARTITIONS, TOPIC, TOPIC_ID, fold
from tests.read_api.conftest import serving
from tests.read_api.test_routes import problem_of
from tests.schemas.ids import MemoryIds

EVENTS = 100
PARTITION = partition_of(b"a", PARTITIONS)
AT = f"{TOPIC}@{TOPIC_ID}:{PARTITION}="
ROW = "/customer_summary/a"


def bought(cents: int) -> AccountEvent:
    return PurchaseRecorded(account_id="a", purchase_id="p", day=date(1997, 1, 1), quantity=1, amount_cents=cents)


HISTORY = [AccountOpened(account_id="a"), *(bought(5) for _ in range(EVENTS - 1))]


@pytest.fixture
def api(database: str) -> Iterator[httpx.Client]:
    """The API over an account with a hundred events: at offset n and n ms after 1970 the n-th purchase of 5 cents."""
    ids = fold(database, HISTORY)
    with serving(database, rows_then=RowsThen(shop, database, PARTITIONS, lambda: ids)) as client:
        yield client


@pytest.mark.parametrize(
    ("as_of", "purchases"),
    [
        (f"{AT}1", 0),
        (f"{AT}50", 49),
        (f"{AT}100;shop.user.events@x:0=7", 99),
        ("1", 0),
        ("100", 99),
        ("1970-01-01T00:00:00.042", 42),
        ("2026-01-01", 99),
    ],
)
def test_a_row_as_it_was(api: httpx.Client, as_of: str, purchases: int) -> None:
    answer = api.get(ROW, params={"as_of": as_of})
    assert answer.status_code == 200, answer.text
    row = answer.json()
    assert (row["purchases"], row["total_cents"]) == (purchases, 5 * purchases)
    assert answer.headers[POSITION_HEADER] == f"{AT}100"
    assert PARKED_HEADER not in answer.headers


@pytest.mark.parametrize("as_of", ["0", f"{AT}0", "1969-12-31"])
def test_a_row_that_was_not_there_yet_is_told_apart_from_one_that_never_was(api: httpx.Client, as_of: str) -> None:
    problem = problem_of(api.get(ROW, params={"as_of": as_of}), 404)
    assert problem["type"] == "urn:kafold:problem:no-row-then"
    assert problem["detail"] == "customer_summary had no row a then: it was not yet there"
    problem = problem_of(api.get("/customer_summary/nobody", params={"as_of": "2026-01-01"}), 404)
    assert problem["type"] == "urn:kafold:problem:no-such-row"
    assert problem["detail"] == "customer_summary has no row nobody, and never had"


@pytest.mark.parametrize(
    ("path", "as_of", "said"),
    [
        (ROW, "yesterday", "neither a position"),
        (ROW, "", "neither a position"),
        (ROW, "-1", "neither a position"),
        (ROW, "9" * 5_000, "neither a position"),
        (ROW, "x" * 40_000, "at most 32768 characters"),
        (ROW, "\x00", "neither a position"),
        (ROW, f"{TOPIC}@x:0", "is not of the form"),
        (ROW, f"shop.evnts@x:{PARTITION}=1", "shop.evnts is no events topic here"),
        (ROW, f"{TOPIC}@{TOPIC_ID}:{(PARTITION + 1) % PARTITIONS}=1", f"says nothing of partition {PARTITION}"),
        ("/daily_sales/1997-01-01", "1997-01-01", "`kafold projections row daily_sales KEY --as-of"),
        ("/daily_sales/1997-01-01", "7", "`kafold projections row daily_sales KEY --as-of"),
        ("/customer_summary", "7", "there is no such parameter"),
    ],
)
def test_rubbish_is_told_where_it_is(api: httpx.Client, path: str, as_of: str, said: str) -> None:
    [error] = problem_of(api.get(path, params={"as_of": as_of}), 422)["errors"]
    assert error["where"] == "query.as_of"
    assert said in error["problem"]


def test_a_position_of_another_log_is_refused_at_once(api: httpx.Client) -> None:
    problem_of(api.get(ROW, params={"as_of": f"{TOPIC}@another:{PARTITION}=7"}), 409)


@pytest.mark.parametrize("as_of", [f"{AT}101", "101", "9" * 18])
def test_what_is_not_known_yet_is_stale_and_says_how_far_the_journal_is(api: httpx.Client, as_of: str) -> None:
    problem = problem_of(api.get(ROW, params={"as_of": as_of, "timeout_ms": 20}), 412)
    assert (problem["type"], problem["at"]) == ("urn:kafold:problem:stale", f"{AT}100")


def test_a_time_waits_for_the_position_after_which_it_is_asked(api: httpx.Client, database: str) -> None:
    answers: list[httpx.Response] = []
    question = {"as_of": "2026-01-01", "after": f"{AT}101"}
    problem_of(api.get(ROW, params={**question, "timeout_ms": 0}), 412)
    asking = threading.Thread(target=lambda: answers.append(api.get(ROW, params=question)))
    asking.start()
    assert not wait_until(lambda: bool(answers), 0.2)
    with psycopg.connect(database) as worker:
        worker.execute("UPDATE kafold.checkpoints SET next = 101")
    asking.join(10)
    assert answers[0].headers[POSITION_HEADER] == f"{AT}101"


def test_as_of_is_answered_within_50_ms(api: httpx.Client) -> None:
    took_ms = []
    for number in range(20):
        began = time.perf_counter()
        assert api.get(ROW, params={"as_of": f"{AT}{50 + number}"}).status_code == 200
        took_ms.append((time.perf_counter() - began) * 1000)
    assert min(took_ms) <= 50


def test_a_row_whose_events_wait_says_so_from_then_on(database: str) -> None:
    ids = fold(database, [*HISTORY[:10], b"rubbish", *HISTORY[10:]])
    with serving(database, rows_then=RowsThen(shop, database, PARTITIONS, lambda: ids)) as client:
        assert PARKED_HEADER not in client.get(ROW, params={"as_of": f"{AT}10"}).headers
        assert PARKED_HEADER not in client.get(ROW, params={"as_of": "10"}).headers
        for as_of in (f"{AT}11", "11", "2026-01-01"):
            answer = client.get(ROW, params={"as_of": as_of})
            assert (answer.json()["purchases"], json.loads(answer.headers[PARKED_HEADER])) == (9, ["a"])


def test_an_event_that_todays_classes_cannot_read_and_schemas_that_are_away(database: str) -> None:
    ids = fold(database, HISTORY)
    with psycopg.connect(database) as connection:
        change = sql.SQL("UPDATE {} SET data = %s WHERE version = 7").format(sql.Identifier("kafold", TOPIC))
        connection.execute(change, [b"\0\0\0\0\x63"])

    def away() -> SchemaIds:
        raise KafoldError("nobody there")

    with serving(database, rows_then=RowsThen(shop, database, PARTITIONS, lambda: ids)) as client:
        problem = problem_of(client.get(ROW, params={"as_of": "9"}), 500)
        assert (problem["type"], "version 7 (offset 6)" in problem["detail"]) == (
            "urn:kafold:problem:unreadable-event", True,
        )  # fmt: skip
    with serving(database, rows_then=RowsThen(shop, database, PARTITIONS, away)) as client:
        assert "nobody there" in problem_of(client.get(ROW, params={"as_of": "9"}), 503)["detail"]
    with serving(database) as client:
        problem_of(client.get(ROW, params={"as_of": "9"}), 422)


def test_the_database_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("read_api.rows_then.CONNECTION_WAIT_S", 0.2)
    dsn = "postgresql://127.0.0.1:1/nothing"
    with serving(dsn, rows_then=RowsThen(shop, dsn, PARTITIONS, MemoryIds)) as client:
        problem_of(client.get(ROW, params={"as_of": "1"}), 503)


def test_openapi_tells_as_of_where_it_is_to_be_had(api: httpx.Client) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    named = {
        path: [each["name"] for each in paths[path]["get"]["parameters"]]
        for path in ("/customer_summary/{key}", "/daily_sales/{key}")
    }
    assert ["as_of" in each for each in named.values()] == [True, False]
