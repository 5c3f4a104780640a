"""Opens what the settings ask to be told to an OpenTelemetry collector."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import CollectorRegistry

from engine.settings import Settings
from engine.telemetry import Tracing


@asynccontextmanager
async def open_telemetry(
    settings: Settings, registry: CollectorRegistry, instance: str
) -> AsyncIterator[Tracing]:
    """Traces, and the registry's metrics, are sent while the block is open.

    Without an endpoint nothing is, and the SDK is not even imported: that takes a while.
    """
    traces = _endpoint(settings, settings.otlp_traces_endpoint, "traces")
    metrics = _endpoint(settings, settings.otlp_metrics_endpoint, "metrics")
    if not traces and not metrics:
        yield Tracing()
        return
    otlp = importlib.import_module("engine.otlp")
    async with AsyncExitStack() as stack:
        if metrics:
            measurements = otlp.Measurements(metrics, instance, registry)
            stack.push_async_callback(measurements.close)
            sending = asyncio.create_task(measurements.send_for_ever())
            stack.callback(sending.cancel)
        if not traces:
            yield Tracing()
            return
        spans = otlp.Spans(traces, instance)
        stack.push_async_callback(spans.close)
        yield Tracing(spans.tracer)


def _endpoint(settings: Settings, own: str | None, signal: str) -> str | None:
    shared = settings.otlp_endpoint
    return own or (f"{shared.rstrip('/')}/v1/{signal}" if shared else None)
