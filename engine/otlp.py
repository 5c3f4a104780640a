"""Sends traces and metrics to an OpenTelemetry collector, with the SDK; imported only for that."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_METRIC_EXPORT_INTERVAL
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

_NAME = "frontdesk"
_LAST_SECONDS = 2.0
_UNKNOWN = cast("float", None)  # the protocol allows it
_TOTAL = AggregationTemporality.CUMULATIVE


def _resource(instance: str) -> Resource:
    """Who sends: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say more."""
    ours = Resource({SERVICE_INSTANCE_ID: instance})
    found = Resource.create().merge(ours)
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: _NAME}))
    return found


class Spans:
    """Sends spans in batches, from a thread of its own. `OTEL_TRACES_SAMPLER` chooses them."""

    def __init__(self, endpoint: str, instance: str) -> None:
        self._provider = TracerProvider(resource=_resource(instance), shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter(endpoint)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        return self._provider.get_tracer(_NAME)

    async def close(self) -> None:
        """Send what is left, unless the collector is away."""
        with _giving_up(self._exporter):
            await asyncio.to_thread(self._provider.shutdown)


class Measurements:
    """Sends what a Prometheus registry holds, every `OTEL_METRIC_EXPORT_INTERVAL` milliseconds."""

    def __init__(self, endpoint: str, instance: str, registry: CollectorRegistry) -> None:
        self._exporter = OTLPMetricExporter(endpoint)
        self._resource = _resource(instance)
        self._registry = registry
        self._began = time.time_ns()
        self._seconds = float(os.environ.get(OTEL_METRIC_EXPORT_INTERVAL) or 60_000) / 1000

    async def send_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._send()

    async def close(self) -> None:
        """Send the last state, unless the collector is away."""
        with _giving_up(self._exporter):
            await self._send()
        self._exporter.shutdown()

    async def _send(self) -> None:
        data = self._read()  # here: gauges ask objects that live on this loop
        await asyncio.to_thread(self._exporter.export, data)

    def _read(self) -> MetricsData:
        now = time.time_ns()
        metrics = [
            metric
            for family in self._registry.collect()
            if (metric := _metric(family, self._began, now)) is not None
        ]
        scoped = ScopeMetrics(InstrumentationScope(_NAME), metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scoped], "")])


@contextmanager
def _giving_up(exporter: OTLPSpanExporter | OTLPMetricExporter) -> Iterator[None]:
    """A collector that is away must not keep the process from ending: try for so long."""
    timer = asyncio.get_running_loop().call_later(_LAST_SECONDS, exporter.shutdown)
    try:
        yield
    finally:
        timer.cancel()


def _metric(family: Family, began: int, now: int) -> Metric | None:
    """Prometheus' family as OpenTelemetry's metric, as its specification maps them.

    A summary without quantiles is a histogram of one bucket. None for what has no values yet.
    """
    data: Sum | Gauge | Histogram
    if family.type == "counter":
        totals = [one for one in family.samples if one.name.endswith("_total")]
        data = Sum([_number(one, began, now) for one in totals], _TOTAL, is_monotonic=True)
    elif family.type in {"histogram", "summary"}:
        data = Histogram(list(_histograms(family, began, now)), _TOTAL)
    else:
        data = Gauge([_number(one, began, now) for one in family.samples])
    if not data.data_points:
        return None
    unit = "s" if family.name.endswith("_seconds") else ""
    return Metric(family.name, family.documentation, unit, data)


def _number(sample: Sample, began: int, now: int) -> NumberDataPoint:
    return NumberDataPoint(dict(sample.labels), began, now, sample.value)


def _histograms(family: Family, began: int, now: int) -> Iterator[HistogramDataPoint]:
    """One a set of labels; Prometheus' buckets contain those below, OpenTelemetry's do not."""
    series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        series.setdefault(tuple(labels.items()), []).append(sample)
    for key, samples in series.items():
        values = {one.name.removeprefix(family.name): one.value for one in samples}
        buckets = [one for one in samples if one.name.endswith("_bucket")]
        yield HistogramDataPoint(
            attributes=dict(key),
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=int(values["_count"]),
            sum=values["_sum"],
            bucket_counts=_apart([one.value for one in buckets] or [values["_count"]]),
            explicit_bounds=[float(one.labels["le"]) for one in buckets[:-1]],
            min=_UNKNOWN,
            max=_UNKNOWN,
        )


def _apart(totals: Sequence[float]) -> list[int]:
    return [int(here - below) for here, below in zip(totals, [0.0, *totals], strict=False)]
