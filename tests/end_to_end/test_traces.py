"""One trace from the client to the row: over real Kafka, with the processor here and the worker in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from producers.client import Client
from schemas.shop.users import CreateUser
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from streams.watching import spans
from tests.log import read_committed
from tests.waiting import wait_until
from tests.worker.child import SPANS

UNSAMPLED_RUBBISH = "00-rubbish"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where the spans of this process go; the provider is this test's alone."""
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return found


@pytest.fixture
def worker_spans(application: Application, cluster: Kafka, dsn: str, tmp_path: Path) -> Iterator[Path]:
    """A worker that writes its spans into a file."""
    folder, file = tmp_path / "worker", tmp_path / "spans"
    folder.mkdir()
    file.touch()
    command = [
        sys.executable,
        "-m",
        "tests.worker.child",
        application.name,
        cluster.bootstrap_servers,
        dsn,
        str(folder),
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, SPANS: str(file)})
    yield file
    process.terminate()
    process.wait(60)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.usefixtures("processor")
def test_one_trace_leads_from_the_client_to_the_row(
    client: Client, application: Application, cluster: Kafka, exporter: InMemorySpanExporter, worker_spans: Path
) -> None:
    carrier: dict[str, str] = {}
    with trace.get_tracer("test").start_as_current_span("ask") as asking:
        TraceContextTextMapPropagator().inject(carrier)
        client.ask(CreateUser(user_id="ada", email="a@b", name="Ada"), traceparent=carrier["traceparent"])
    client.ask(CreateUser(user_id="untraced", email="a@b", name="Bob"))
    client.ask(CreateUser(user_id="rubbish", email="a@b", name="Cem"), traceparent=UNSAMPLED_RUBBISH)
    client.ask(CreateUser(user_id="ada", email="a@b", name="Ada"), traceparent=carrier["traceparent"])

    def decided() -> list[ReadableSpan]:
        return [each for each in exporter.get_finished_spans() if each.name == "decide CreateUser"]

    wait_until(lambda: len(decided()) == 2, "both traced commands are committed")
    accepted, rejected = decided()
    assert accepted.context is not None
    assert accepted.parent is not None
    assert accepted.parent.span_id == asking.get_span_context().span_id
    assert (accepted.attributes or {})["kafold.status"] == "accepted"
    assert (rejected.attributes or {})["kafold.status"] == "rejected"

    events = {each.key(): each.headers() for each in read_committed(cluster, f"{application.name}.user.events")}
    outcomes = [each.headers() for each in read_committed(cluster, f"{application.name}.user.outcomes")]
    assert accepted.context.trace_id == asking.get_span_context().trace_id
    trace_id = f"{accepted.context.trace_id:032x}"
    carried = f"00-{trace_id}-{accepted.context.span_id:016x}-{accepted.context.trace_flags:02x}".encode()
    assert events == {
        b"ada": [("traceparent", carried)],
        b"untraced": None,
        b"rubbish": [("traceparent", UNSAMPLED_RUBBISH.encode())],
    }
    assert [("traceparent", carried)] in outcomes
    assert None in outcomes

    wait_until(
        lambda: any(each["name"] == "fold event" for each in lines(worker_spans)), "the worker has folded the event", 90
    )
    folded = lines(worker_spans)
    assert {each["context"]["trace_id"] for each in folded} == {f"0x{trace_id}"}
    assert {each["parent_id"] for each in folded} == {f"0x{accepted.context.span_id:016x}"}
    assert "fold event" in {each["name"] for each in folded}


def test_without_a_provider_the_header_is_only_passed_on() -> None:
    assert not spans.is_on()
    span = spans.DecideSpan(b"00-x", spans.is_on(), {"kafold.command": "X"})
    span.end("accepted")
    assert span.carried == b"00-x"


@pytest.mark.parametrize("headers", [None, [], [("other", b"x")], [("traceparent", None)], [("traceparent", "text")]])
def test_headers_without_a_traceparent_are_none(headers: Any) -> None:
    assert spans.traceparent(headers) is None
