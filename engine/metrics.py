"""What the process counts about itself, in a registry of its own."""

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    generate_latest,
)


class Metrics:
    """Counters and gauges, in Prometheus' words."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "frontdesk_http_requests_total",
            "HTTP requests answered.",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self.runs = Counter(
            "frontdesk_runs_total", "Runs ended.", ["graph", "status"], registry=self.registry
        )
        self.run_seconds = Histogram(
            "frontdesk_run_seconds",
            "Seconds a run was executed.",
            ["graph"],
            registry=self.registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )
        self.claims = Counter(
            "frontdesk_claims_total",
            "Runs claimed, by what led here.",
            ["by"],
            registry=self.registry,
        )
        self.slots = Gauge("frontdesk_slots", "Runs that fit.", registry=self.registry)
        self.busy = Gauge("frontdesk_slots_busy", "Runs at work.", registry=self.registry)
        self.loop_lag = Gauge(
            "frontdesk_loop_lag_seconds",
            "How long a callback waits for its turn on the event loop, of late.",
            registry=self.registry,
        )
        self.loop_blocked = Summary(
            "frontdesk_loop_blocked_seconds",
            "Seconds that a single step blocked the event loop.",
            ["graph", "node"],
            registry=self.registry,
        )

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)

    def snapshot(self) -> dict[str, Any]:
        """The same as JSON: requests by path, and the worker's slots."""
        requests = [
            {**sample.labels, "count": int(sample.value)}
            for sample in next(iter(self.requests.collect())).samples
            if sample.name.endswith("_total")
        ]
        slots, busy = int(self._value(self.slots)), int(self._value(self.busy))
        return {
            "api": {"http_requests_total": requests},
            "workers": {"max": slots, "active": busy, "available": slots - busy},
        }

    def _value(self, gauge: Gauge) -> float:
        return next(iter(gauge.collect())).samples[0].value
