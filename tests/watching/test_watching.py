"""Metrics by their published names, lag and health as pure functions, and the small server under rubbish."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.watching import addresses_in, ask_all, noted
from streams.watching.lag import Health, Lag, LagClock, judge
from streams.watching.metrics import METRICS, Metrics, Part
from streams.watching.server import WatchServer, pages

PLACE = ("t", 0)
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
WELL = Health(True, "owns its partitions and keeps up", 1, 0, 0.0)


def names(text: str) -> set[str]:
    return {
        family.name
        for family in text_string_to_metric_families(text)
        if family.name.startswith("kafold_") and not family.name.endswith("_created")
    }


@pytest.mark.parametrize("part", Part)
def test_a_part_serves_every_metric_of_its_own_and_no_other(part: Part) -> None:
    served = names(Metrics(part, lambda: [Lag(PLACE, 3, 1.5)]).text().decode())
    assert served == {each.full_name.removesuffix("_total") for each in METRICS if each.part is part}


def test_the_readme_names_every_metric() -> None:
    for each in METRICS:
        assert f"`{each.full_name}`" in README


def test_counters_histograms_and_gauges_hold_what_they_are_told() -> None:
    metrics = Metrics(Part.WORKER, lambda: [Lag(PLACE, 3, 1.5)])
    metrics.observe("batch_events", 7, "fold")
    metrics.put("parked_keys", [("users", 2)])
    metrics.put("parked_keys", [("daily_sales", 1)])
    text = metrics.text().decode()
    assert 'kafold_worker_batch_events_sum{duty="fold"} 7.0' in text
    assert 'kafold_worker_parked_keys{projection="daily_sales"} 1.0' in text
    assert "users" not in text
    assert 'kafold_worker_lag_seconds{partition="0",topic="t"} 1.5' in text


def test_lag_is_zero_when_nothing_waits_and_else_no_more_than_the_time_since() -> None:
    clock = LagClock()
    assert clock.lag(PLACE, 0, None, 100.0) == Lag(PLACE, 0, 0.0)
    # An event of an hour ago is the newest that is done with, but a second ago nothing waited.
    assert clock.lag(PLACE, 5, 100.0 - 3600, 101.0) == Lag(PLACE, 5, 1.0)
    # A steady stream: it never is caught up, and what is done with is 0.2 s old.
    assert clock.lag(PLACE, 5, 200.0, 200.2).seconds == pytest.approx(0.2)
    # A backlog from before it began.
    assert LagClock().lag(PLACE, 5, 40.0, 100.0) == Lag(PLACE, 5, 60.0)


@pytest.mark.parametrize(
    ("health", "ready", "reason"),
    [
        (judge([Lag(PLACE, 1, 0.1)], joined=True, recovering=0, idle_s=0), True, "owns its partitions and keeps up"),
        (judge([], joined=True, recovering=0, idle_s=0), True, "stands by: others own all partitions"),
        (judge([], joined=False, recovering=0, idle_s=0), False, "waits for its partitions"),
        (judge([Lag(PLACE, 0, 0)], joined=True, recovering=2, idle_s=0), False, "recovers 2 partitions"),
        (judge([Lag(PLACE, 0, 0)], joined=True, recovering=0, idle_s=11), False, "has not gone round for 11 s"),
        (judge([Lag(PLACE, 9, 31)], joined=True, recovering=0, idle_s=0), False, "is 31 s and 9 records behind"),
    ],
)
def test_ready_means_that_it_owns_its_partitions_and_keeps_up(health: Health, ready: bool, reason: str) -> None:
    assert (health.ready, health.reason) == (ready, reason)


@pytest.fixture
def server() -> Iterator[WatchServer]:
    healths = iter([WELL, WELL._replace(ready=False, reason="waits for its partitions")])
    with WatchServer("127.0.0.1", 0, pages(Metrics(Part.PROCESSOR), lambda: next(healths))) as made:
        yield made


def test_the_server_answers_and_survives_rubbish(server: WatchServer) -> None:
    for rubbish in (b"\r\n\r\n", b"\x16\x03\x01\x02", b"GET\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), 5) as raw:
            raw.sendall(rubbish)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
    url = f"http://127.0.0.1:{server.port}"
    assert names(httpx.get(f"{url}/metrics").text)
    assert httpx.get(f"{url}/live").json() == {"live": True}
    assert httpx.get(f"{url}/ready?x=1").json()["ready"]
    assert (unready := httpx.get(f"{url}/ready")).status_code == 503
    assert unready.json()["reason"] == "waits for its partitions"
    assert httpx.get(f"{url}/ready").status_code == 500  # the health raises StopIteration
    assert httpx.get(f"{url}/../../etc/passwd").status_code == 404
    assert httpx.post(f"{url}/metrics", content=b"x").status_code == 501
    assert httpx.head(f"{url}/live").content == b""


def test_parts_are_found_where_they_are_noted_and_silent_ones_are_said_to_be(
    server: WatchServer, tmp_path: Path
) -> None:
    assert addresses_in(tmp_path) == {}
    addresses = {"processor-0": f"http://127.0.0.1:{server.port}", "worker-0": "http://127.0.0.1:1", "x": "::rubbish"}
    with noted(tmp_path, addresses):
        well, silent, rubbish = ask_all(addresses_in(tmp_path))
    assert (well.ready, well.lag_offsets) == (True, 0)
    assert (silent.ready, silent.reason) == (False, "does not answer")
    assert not rubbish.ready
    assert addresses_in(tmp_path) == {}
    (tmp_path / "parts.json").write_text("{")
    assert addresses_in(tmp_path) == {}
    (tmp_path / "parts.json").write_text(json.dumps([1]))
    assert addresses_in(tmp_path) == {}
