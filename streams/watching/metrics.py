"""Metrics: what each part tells Prometheus, by name. This table is the one place that names them.

Promises: a part serves every metric that the table gives it, and no other of kafold's; counting is for batches, never
for single records, so that it costs next to nothing. `process_start_time_seconds` is served too: its changes are
restarts.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streams.watching.lag import Look

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SIZES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


class Part(StrEnum):
    """A kind of process."""

    PROCESSOR = "processor"
    WORKER = "worker"
    API = "api"


class Metric(NamedTuple):
    """`kind`: a counter, a gauge, or a histogram with its buckets; `looked`: it is computed when it is asked for."""

    part: Part
    name: str
    kind: type[Counter] | type[Gauge] | type[Histogram]
    labels: tuple[str, ...]
    about: str
    buckets: tuple[float, ...] = ()
    looked: bool = False

    @property
    def full_name(self) -> str:
        """The name that Prometheus knows."""
        return f"kafold_{self.part}_{self.name}"


_PLACE = ("topic", "partition")
METRICS = (
    Metric(Part.PROCESSOR, "partitions", Gauge, (), "partitions of commands that it owns", looked=True),
    Metric(Part.PROCESSOR, "lag_offsets", Gauge, _PLACE, "commands that wait", looked=True),
    Metric(Part.PROCESSOR, "lag_seconds", Gauge, _PLACE, "for how long, at most", looked=True),
    Metric(Part.PROCESSOR, "batch_commands", Histogram, (), "commands decided in one transaction", SIZES),
    Metric(Part.PROCESSOR, "transaction_seconds", Histogram, (), "from a transaction's begin to its commit", SECONDS),
    Metric(Part.PROCESSOR, "undone_total", Counter, ("reason",), "transactions not committed: aborted, indefinite"),
    Metric(Part.PROCESSOR, "commands_total", Counter, ("aggregate", "status"), "decided commands, by how they ended"),
    Metric(Part.PROCESSOR, "rejections_total", Counter, ("aggregate", "reason"), "rejected commands, by their problem"),
    Metric(Part.PROCESSOR, "dead_letters_total", Counter, ("aggregate",), "records that are no commands"),
    Metric(Part.PROCESSOR, "snapshots_total", Counter, ("aggregate",), "aggregates' states written as snapshots"),
    Metric(Part.WORKER, "partitions", Gauge, (), "partitions of events that it owns", looked=True),
    Metric(Part.WORKER, "lag_offsets", Gauge, _PLACE, "events that wait", looked=True),
    Metric(Part.WORKER, "lag_seconds", Gauge, _PLACE, "for how long, at most", looked=True),
    Metric(Part.WORKER, "batch_events", Histogram, ("duty",), "events folded in one go", SIZES),
    Metric(Part.WORKER, "transaction_seconds", Histogram, ("duty",), "decoding, folding, and the database", SECONDS),
    Metric(
        Part.WORKER,
        "parked_keys",
        Gauge,
        ("projection",),
        "keys that wait behind an event of its partitions that cannot be taken",
    ),
    Metric(Part.WORKER, "commands_total", Counter, ("type", "status"), "answers, by the command and how it ended"),
    Metric(Part.WORKER, "rejections_total", Counter, ("type", "reason"), "rejected commands, by their problem"),
    Metric(Part.WORKER, "events_total", Counter, ("type",), "events"),
    Metric(Part.API, "requests_total", Counter, ("route", "status"), "answered requests"),
    Metric(Part.API, "request_seconds", Histogram, ("route",), "from a request to its answer", SECONDS),
)


class Metrics:
    """The metrics of one part. `look` computes those that are asked for only when somebody reads them."""

    def __init__(self, part: Part, look: Look = lambda: ()) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        mine = [each for each in METRICS if each.part is part]
        self._instruments = {each.name: _instrument(each, self._registry) for each in mine if not each.looked}
        if any(each.looked for each in mine):
            self._registry.register(_Looked([each for each in mine if each.looked], look))

    def count(self, name: str, number: float, *labels: str) -> None:
        """Add to a counter."""
        _labelled(self._instruments[name], labels).inc(number)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        _labelled(self._instruments[name], labels).observe(value)

    def put(self, name: str, values: Iterable[tuple[str, float]]) -> None:
        """Set a gauge by its one label; labels that are not given are gone."""
        gauge = self._instruments[name]
        gauge.clear()
        for label, value in values:
            gauge.labels(label).set(value)

    def text(self) -> bytes:
        """Return what Prometheus reads."""
        return generate_latest(self._registry)


class _Looked(Collector):
    """The gauges of what a part owns."""

    def __init__(self, metrics: list[Metric], look: Look) -> None:
        self._metrics = {each.name: each for each in metrics}
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = list(self._look())
        partitions = self._family("partitions")
        partitions.add_metric([], len(found))
        offsets, seconds = self._family("lag_offsets"), self._family("lag_seconds")
        for each in found:
            place = [each.place[0], str(each.place[1])]
            offsets.add_metric(place, each.offsets)
            seconds.add_metric(place, each.seconds)
        yield from (partitions, offsets, seconds)

    def _family(self, name: str) -> GaugeMetricFamily:
        metric = self._metrics[name]
        return GaugeMetricFamily(metric.full_name, metric.about, labels=metric.labels)


def _instrument(metric: Metric, registry: CollectorRegistry) -> Any:
    more: dict[str, Any] = {"buckets": metric.buckets} if metric.buckets else {}
    return metric.kind(metric.full_name, metric.about, metric.labels, registry=registry, **more)


def _labelled(instrument: Any, labels: tuple[str, ...]) -> Any:
    return instrument.labels(*labels) if labels else instrument
