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

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BACKLOG = (
    ("runs_waiting", "Due runs that wait for a slot."),
    ("runs_oldest_seconds", "How long the oldest of them has waited."),
    ("runs_running", "Runs at work, in all processes."),
    ("effects_unknown", "Effects of which a colleague has to find out whether they happened."),
    ("jobs_waiting", "Background jobs that wait."),
    ("jobs_dead", "Background jobs that failed for good."),
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

        self.node_seconds = self._seconds(
            "frontdesk_node_seconds", "Seconds a node took.", ["graph", "node"]
        )
        self.model_seconds = self._seconds(
            "frontdesk_model_seconds", "Seconds a model call took.", ["model", "outcome"]
        )
        self.tool_seconds = self._seconds(
            "frontdesk_tool_seconds", "Seconds a tool call took.", ["tool", "outcome"]
        )
        self.model_tokens = Counter(
            "frontdesk_model_tokens_total",
            "Tokens that models have read (input) and written (output).",
            ["model", "tenant", "kind"],
            registry=self.registry,
        )
        self.model_cost = Counter(
            "frontdesk_model_cost_total",
            "What those tokens cost, by FRONTDESK_PRICES.",
            ["model", "tenant"],
            registry=self.registry,
        )
        self.given_up = Counter(
            "frontdesk_runs_given_up_total",
            "Runs taken from their workers here: `dead`, `deaf` to a cancel, or `quarantined`.",
            ["why"],
            registry=self.registry,
        )
        self.backlog = {name: self._gauge(f"frontdesk_{name}", text) for name, text in _BACKLOG}
        self.pool_size = self._gauge("frontdesk_pool_size", "Connections to PostgreSQL.")
        self.pool_free = self._gauge("frontdesk_pool_free", "Those that nobody uses.")
        self.pool_waiting = self._gauge("frontdesk_pool_waiting", "Who waits for a connection.")
        self.checkpoint_bytes = self._gauge(
            "frontdesk_checkpoint_bytes", "Bytes of checkpoints stored since the start."
        )
        self.event_bytes = self._gauge(
            "frontdesk_event_bytes", "Bytes of events brought to Redis since the start."
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def _seconds(self, name: str, text: str, labels: list[str]) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=_BUCKETS)

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
