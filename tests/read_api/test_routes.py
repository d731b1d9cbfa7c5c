"""The API's routes: what is there, what is not, how fresh it is, and what is not understood."""

import json
import threading
from typing import Any

import httpx
import psycopg
import pytest

from read_api.problems import MEDIA_TYPE
from read_api.projection_routes import PARKED_HEADER
from tests.read_api.conftest import EVENTS_ID, serving

SALES_AT = f"shop.account.events@{EVENTS_ID}:1="


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    return body


def test_a_row_by_its_key(api: httpx.Client) -> None:
    assert api.get("/users/a").json() == {"user_id": "a", "email": "a@x", "name": "Ann", "active": True}
    assert api.get("/daily_sales/1997-01-02").json()["purchases"] == 1


def test_a_key_may_be_any_text(api: httpx.Client) -> None:
    assert api.get("/users/c%2Fd%20%C3%BC").json()["name"] == "Cem"


def test_a_row_that_is_not_there(api: httpx.Client) -> None:
    assert problem_of(api.get("/users/nobody"), 404)["detail"] == "users has no row nobody"


def test_pages_follow_each_other_in_key_order(api: httpx.Client) -> None:
    first = api.get("/users", params={"limit": 2}).json()
    assert [row["user_id"] for row in first["rows"]] == ["a", "b"]
    second = api.get("/users", params={"limit": 2, "after_key": first["next_after_key"]}).json()
    assert [row["user_id"] for row in second["rows"]] == ["c/d ü"]
    assert second["next_after_key"] is None


def test_a_page_by_date(api: httpx.Client) -> None:
    page = api.get("/daily_sales", params={"after_key": "1997-01-01", "limit": 1}).json()
    assert page["next_after_key"] == "1997-01-02"


def test_the_applications_own_queries(api: httpx.Client) -> None:
    best = api.get("/queries/get-best-customers", params={"limit": 1}).json()
    assert [row["account_id"] for row in best] == ["b"]
    days = api.get("/queries/sales-by-day", params={"first": "1997-01-01", "last": "1997-01-31"}).json()
    assert sum(day["total_cents"] for day in days) == 11000
    problem_of(api.get("/queries/get-user-by-id", params={"user_id": "nobody"}), 404)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/daily_sales/yesterday", "path.key"),
        ("/daily_sales/1997-02-30", "path.key"),
        ("/users/" + "x" * 2_000, "path.key"),
        ("/users/%00", "path.key"),
        ("/users/a%00b", "path.key"),
        ("/users?limit=0", "query.limit"),
        ("/users?limit=-1", "query.limit"),
        ("/users?limit=many", "query.limit"),
        ("/users?limit=1.5", "query.limit"),
        ("/users?limit=100000000000000000000", "query.limit"),
        ("/users?limt=1", "query.limt"),
        ("/users?after_key=%00", "query.after_key"),
        ("/daily_sales?after_key=soon", "query.after_key"),
        ("/users/a?after=here", "query.after"),
        ("/users/a?after=shop.user.events@x:0", "query.after"),
        ("/users/a?after=shop.user.evnts@x:0=1", "query.after"),
        ("/users/a?after=shop.user.events@x:0=" + "9" * 5_000, "query.after"),
        ("/users/a?after=" + "x" * 40_000, "query.after"),
        ("/users/a?timeout_ms=-1", "query.timeout_ms"),
        ("/users/a?timeout_ms=86400000", "query.timeout_ms"),
        ("/queries/sales-by-day?first=1997-01-01", "query.last"),
        ("/queries/sales-by-day?first=1997-01-02&last=1997-01-01", "query"),
        ("/queries/get-user-by-id?user_id=", "query.user_id"),
        ("/queries/get-best-customers?limit=9999", "query.limit"),
        ("/queries/get-user-by-id?user_id=%00", None),
    ],
)
def test_rubbish_is_told_where_it_is(api: httpx.Client, path: str, where: str | None) -> None:
    problem = problem_of(api.get(path), 422)
    assert where is None or problem["errors"][0]["where"].startswith(where)
    assert problem["detail"]


def test_unknown_projections_queries_and_methods(api: httpx.Client) -> None:
    problem_of(api.get("/nothing"), 404)
    problem_of(api.get("/nothing/a"), 404)
    problem_of(api.get("/queries/nothing"), 404)
    problem_of(api.post("/users"), 405)
    problem_of(api.get("/users_v1/a"), 404)


def test_a_position_that_is_reached_is_answered_at_once(api: httpx.Client) -> None:
    assert api.get("/daily_sales/1997-01-01", params={"after": f"{SALES_AT}5"}).status_code == 200


def test_a_position_not_reached_is_stale_and_says_where_it_is(api: httpx.Client) -> None:
    response = api.get("/daily_sales/1997-01-01", params={"after": f"{SALES_AT}6", "timeout_ms": 20})
    problem = problem_of(response, 412)
    assert problem["type"] == "urn:kafold:problem:stale"
    assert problem["at"] == f"{SALES_AT}5"
    assert response.headers["retry-after"] == "1"


def test_a_position_of_another_log_is_refused_at_once(api: httpx.Client) -> None:
    problem_of(api.get("/daily_sales/1997-01-01", params={"after": "shop.account.events@BBBB:1=1"}), 409)


def test_what_a_projection_does_not_fold_is_not_waited_for(api: httpx.Client) -> None:
    after = f"shop.account.events@{EVENTS_ID}:1=1000000"
    assert api.get("/users/a", params={"after": after}).status_code == 200


def test_an_answer_waits_for_its_position(api: httpx.Client, read_database: str) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(api.get("/daily_sales/1997-01-01", params={"after": f"{SALES_AT}6"}))
    )
    with psycopg.connect(read_database) as writer:
        asking.start()
        writer.execute("UPDATE shop.daily_sales_v1 SET purchases = 99 WHERE day = '1997-01-01'")
        writer.execute("UPDATE kafold.checkpoints SET next = 6 WHERE projection = 'daily_sales'")
        assert not answers
    asking.join(10)
    assert answers[0].json()["purchases"] == 99


def test_health(api: httpx.Client) -> None:
    assert api.get("/health/live").json() == {"status": "live"}
    assert api.get("/health/ready").json() == {"status": "ready"}


def test_not_ready_before_the_tables_are_there(read_database: str) -> None:
    with psycopg.connect(read_database) as connection:
        connection.execute("DROP VIEW shop.users")
    with serving(read_database) as client:
        detail = problem_of(client.get("/health/ready"), 503)["detail"]
        assert "users" in detail
        assert "kafold up" in detail


def test_it_lives_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("read_api.read_model.CONNECTION_WAIT_S", 0.2)
    with serving("postgresql://127.0.0.1:1/nothing") as client:
        assert client.get("/health/live").status_code == 200
        problem_of(client.get("/health/ready"), 503)
        problem_of(client.get("/users/a"), 503)


def test_openapi_tells_rows_keys_and_problems(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    row = document["paths"]["/daily_sales/{key}"]["get"]
    assert row["parameters"][0]["schema"]["format"] == "date"
    assert row["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/DailySales")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                content = response["content"]
                assert (MEDIA_TYPE in content) == (int(status) >= 400), path
    assert "ValidationError" not in document["components"]["schemas"]


def test_rows_of_parked_keys_are_said_to_be_parked(api: httpx.Client, read_database: str) -> None:
    assert PARKED_HEADER not in api.get("/users/a").headers
    with psycopg.connect(read_database) as connection:
        connection.execute(
            'INSERT INTO kafold.parked (application, projection, version, topic, partition, "offset", key, by_message,'
            " message_key, data, code) SELECT 'shop', 'users', 1, 't', 0, number, key, false, '', '', ''"
            " FROM unnest(ARRAY['a', 'c/d ü', 'gone']) WITH ORDINALITY AS each (key, number)"
        )
    assert json.loads(api.get("/users/a").headers[PARKED_HEADER]) == ["a"]
    assert PARKED_HEADER not in api.get("/users/b").headers
    assert json.loads(api.get("/users").headers[PARKED_HEADER]) == ["a", "c/d ü"]
    assert PARKED_HEADER not in api.get("/daily_sales").headers
    with psycopg.connect(read_database) as connection:
        connection.execute("UPDATE kafold.parked SET key = repeat('k', 5000) WHERE key = 'gone'")
        connection.execute("INSERT INTO shop.users_v1 VALUES (repeat('k', 5000), '', '', true)")
    assert api.get("/users").headers[PARKED_HEADER] == "true"  # the list would be too long for a header
