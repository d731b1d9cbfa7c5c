"""A worker in a process of its own: `python -m tests.worker.child NAME BOOTSTRAP DSN FOLDER`."""

import logging
import os
import sys
from dataclasses import replace
from functools import wraps
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from infra.cli.context import Invocation
from schemas.metadata import EventMetadata
from schemas.shop.rows import CustomerSummary
from streams.domain.shop.app import shop
from streams.domain.shop.projections import Custom, customer_summary
from streams.kafka.config import Kafka
from streams.kafka.registry import TopicRegistry
from streams.kernel.application import Application
from streams.postgres.checkpoints import Reader
from streams.worker.main import run
from streams.worker.options import WorkerOptions
from tests.worker.strikes import STRIKE, strike

TARGET = "KAFOLD_TEST_TARGET"  # a variable that names another application than the shop, as package.module:name
ONLY = "KAFOLD_TEST_ONLY"  # a variable that names the one version to fold, as name@version
STEP_RECORDS = 400
WATCH = "KAFOLD_TEST_WATCH"  # a variable that names the port of the worker's web
SPANS = "KAFOLD_TEST_SPANS"  # a variable that names a file for the worker's spans
BATCH_EVENTS_MAX = "KAFOLD_TEST_BATCH_EVENTS_MAX"  # a variable that gives a batch another size
BEHIND = "KAFOLD_TEST_BEHIND"  # a variable: how far behind a reader must be to catch up in bulk, in small steps
FIXED = "fixed"  # a file of this name in the folder's parent says that the code was mended


def application(name: str, folder: Path) -> Application:
    """Return the shop, whose summaries cannot take a purchase called poison until the code is mended."""
    if TARGET in os.environ:
        return replace(Invocation(os.environ[TARGET], debug=False).application(), name=name)

    @wraps(customer_summary.project)
    def project(row: CustomerSummary, event: Custom, meta: EventMetadata) -> CustomerSummary | None:
        if getattr(event, "purchase_id", "") == "poison" and not (folder.parent / FIXED).exists():
            raise ValueError("poison is not a purchase")
        return customer_summary.project(row, event, meta)

    summaries = replace(customer_summary, project=project)
    projections = [summaries if each is customer_summary else each for each in shop.projections]
    return replace(shop, name=name, projections=projections)


def trace_into(file: Path) -> None:
    """Write each span as a line of JSON."""
    provider = TracerProvider()
    out = file.open("a", encoding="utf-8", buffering=1)
    exporter = ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def only() -> Reader | None:
    """Return the one version to fold."""
    projection, _, version = os.environ.get(ONLY, "").partition("@")
    return Reader(projection, int(version)) if version else None


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    strike(os.environ.get(STRIKE, ""))
    name, bootstrap_servers, dsn, folder = sys.argv[1:]
    if SPANS in os.environ:
        trace_into(Path(os.environ[SPANS]))
    kafka = Kafka(bootstrap_servers)
    # Small batches and short limits: more rebalances and more commits to be killed in.
    watch = ("127.0.0.1", int(os.environ[WATCH])) if WATCH in os.environ else None
    batch_events_max = int(os.environ.get(BATCH_EVENTS_MAX, "500"))
    options = WorkerOptions(batch_events_max=batch_events_max, session_timeout_s=6.0, stop_s_max=8.0, watch=watch)
    if BEHIND in os.environ:
        logging.getLogger("kafold.worker").setLevel(logging.INFO)
        options = replace(options, behind_records_max=int(os.environ[BEHIND]), bulk_records_max=STEP_RECORDS)
    with TopicRegistry(kafka) as ids:
        run(application(name, Path(folder)), kafka, dsn, ids, Path(folder), options, only=only())


if __name__ == "__main__":
    main()
