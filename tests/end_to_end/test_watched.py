"""Every part of a running shop is watched: its metrics, and whether it is ready; `kafold status` shows them."""

import json
import subprocess

import httpx
from prometheus_client.parser import text_string_to_metric_families

from infra.watching import addresses_in, ask_all
from streams.watching.metrics import METRICS, Part
from tests.fixtures.up import KAFOLD, Up
from tests.waiting import wait_until


def sample(address: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    families = text_string_to_metric_families(httpx.get(f"{address}/metrics").text)
    samples = [each for family in families for each in family.samples if each.name == name]
    return sum(each.value for each in samples if labels.items() <= each.labels.items())


def kafold(up: Up, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*KAFOLD, *arguments], capture_output=True, text=True, check=False, env=up.environment)


def test_every_part_is_ready_and_counts(up: Up) -> None:
    addresses = addresses_in(up.home)
    assert set(addresses) == {"processor-0", "processor-1", "worker-0", "worker-1", "api"}
    wait_until(lambda: all(each.ready for each in ask_all(addresses)), "every part is ready", 60)
    for part, address in addresses.items():
        text = httpx.get(f"{address}/metrics").text
        wanted = [each.full_name for each in METRICS if each.part is Part(part.partition("-")[0])]
        assert all(f"# HELP {name}" in text for name in wanted), text
        assert "process_start_time_seconds" in text
        assert httpx.get(f"{address}/live").is_success
    processors = [address for part, address in addresses.items() if part.startswith("processor")]
    workers = [address for part, address in addresses.items() if part.startswith("worker")]
    assert sum(sample(each, "kafold_processor_partitions") for each in processors) == 2 * 4
    # Of both events topics, and of the outcomes that process managers wait for.
    assert sum(sample(each, "kafold_worker_partitions") for each in workers) == 3 * 4

    rejected = {"aggregate": "user", "reason": "already-exists"}
    before = sum(sample(each, "kafold_processor_rejections_total", **rejected) for each in processors)
    for _ in range(2):
        kafold(up, "send", "CreateUser", "user_id=watched", "email=a@b", "name=A", "--ask")
    wait_until(
        lambda: sum(sample(each, "kafold_processor_rejections_total", **rejected) for each in processors) > before,
        "the rejection is counted",
    )
    wait_until(
        lambda: sum(sample(each, "kafold_worker_batch_events_count") for each in workers) > 0, "batches are counted"
    )
    wait_until(lambda: all(sample(each, "kafold_worker_lag_offsets") == 0 for each in workers), "nothing waits")
    assert httpx.get(f"{addresses['api']}/users/nobody").status_code == 404
    assert sample(addresses["api"], "kafold_api_requests_total", route="/users/{key:path}", status="404") == 1


def test_status_shows_each_part_with_its_lag(up: Up) -> None:
    shown = json.loads(kafold(up, "status", "--json").stdout)
    assert {each["part"] for each in shown["parts"]} == set(addresses_in(up.home))
    assert all(isinstance(each["lag_offsets"], int) for each in shown["parts"] if each["part"] != "api")
    assert "worker-1" in kafold(up, "status").stdout


def test_figures_are_those_of_all_workers(up: Up) -> None:
    kafold(up, "send", "CreateUser", "user_id=figured", "email=a@b", "name=A", "--ask")
    kafold(up, "send", "CreateUser", "user_id=figured", "email=a@b", "name=A", "--ask")

    def counted() -> set[tuple[str, str, str]]:
        shown = json.loads(kafold(up, "figures", "--json").stdout)
        assert len(shown["workers"]) == 2
        assert shown["silent"] == []
        return {(each["kind"], each["type"], each["detail"]) for each in shown["figures"]}

    wanted = {
        ("commands", "user.CreateUser", "accepted"),
        ("commands", "user.CreateUser", "rejected"),
        ("rejections", "user.CreateUser", "already-exists"),
        ("events", "user.UserCreated", ""),
    }
    wait_until(lambda: wanted <= counted(), "the workers have counted", 60)
    table = kafold(up, "figures", "--minutes", "2").stdout
    assert "rejections" in table
    assert "already-exists" in table
    assert "hour" in table


def test_a_worker_that_does_not_answer_is_named(up: Up) -> None:
    asked = kafold(up, "figures", "--at", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 does not answer" in asked.stderr
