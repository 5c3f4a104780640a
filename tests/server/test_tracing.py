"""One trace from the request to the statement, over two real processes and a collector's wire."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.engine.test_takeover import ready
from tests.fakes.otlp import Collector, collecting, facts

SAID = "my-card-4711-was-stolen"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@contextmanager
def started(role: str, port: int, log: Path, env: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.fakes.serving", str(port)]
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, env={**os.environ, "FRONTDESK_ROLE": role, **env}, stderr=out
        )
        try:
            yield
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            finally:
                child.kill()


@pytest.fixture
def servers(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "FRONTDESK_LOG_FORMAT": "json",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


async def test_a_request_that_another_process_works_on_is_one_trace_without_customers_text(
    servers: dict[str, str], collector: Collector, tmp_path: Path, unused_tcp_port: int
) -> None:
    env = {**servers, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    log = tmp_path / "worker"
    with (
        started("api", unused_tcp_port, tmp_path / "api", env),
        started("worker", 0, log, env),
    ):
        async with await ready(unused_tcp_port) as client:
            thread: Any = await client.threads.create()
            tid = thread["thread_id"]
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            asked: Any = {"text": SAID, "fail": True}
            run: Any = await client.runs.create(tid, "complaint", input=asked, headers=headers)
            await client.runs.join(tid, run["run_id"])
            shown = await client.runs.get(tid, run["run_id"])
        names = ("POST /threads/{thread_id}/runs", "run complaint", "node handle")
        calls = ("chat greeter", "execute_tool look_up")
        await collector.named(*names, *calls)

    assert shown["status"] == "error"
    assert "trace" not in shown["kwargs"]  # type: ignore[typeddict-item]
    ours = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    by_name = {span.name: span for span in ours}
    request, begun, node, model, tool = (by_name[name] for name in (*names, *calls))
    assert request.parent_span_id.hex() == CALLER
    assert begun.parent_span_id == request.span_id
    assert node.parent_span_id == begun.span_id
    assert model.parent_span_id == tool.parent_span_id == node.span_id
    queries = {facts(span).get("db.query.text"): span for span in ours}
    assert queries["select %(said)s as said"].parent_span_id == tool.span_id
    assert facts(begun)["frontdesk.run_id"] == run["run_id"]
    assert facts(begun)["frontdesk.attempt"] == 1
    assert facts(node)["error.type"] == facts(begun)["error.type"] == "ValueError"
    assert not any(SAID.encode() in body for body in collector.bodies)
    runs = collector.metrics["frontdesk_runs"].sum.data_points
    assert [one.as_double for one in runs] == [1.0]
    (seconds,) = collector.metrics["frontdesk_run_seconds"].histogram.data_points
    assert sum(seconds.bucket_counts) == seconds.count == 1
    assert len(seconds.bucket_counts) == len(seconds.explicit_bounds) + 1

    assert SAID not in log.read_text()
    lines = [orjson.loads(line) for line in log.read_text().splitlines()]
    (failed,) = [line for line in lines if "failed" in line["message"]]
    assert (failed["run_id"], failed["thread_id"]) == (run["run_id"], tid)
    assert (failed["graph"], failed["trace_id"]) == ("complaint", TRACE)
    assert failed["error"][0]["class"] == "builtins.ValueError"
    assert failed["error"][0]["frames"][-1].endswith(" handle")


async def test_a_run_that_is_taken_over_goes_on_with_its_trace(
    servers: dict[str, str], collector: Collector, tmp_path: Path, unused_tcp_port: int
) -> None:
    env = {**servers, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "FRONTDESK_DRAIN_SECONDS": "0"}
    with started("api", unused_tcp_port, tmp_path / "api", env):
        async with await ready(unused_tcp_port) as client:
            thread: Any = await client.threads.create()
            tid = thread["thread_id"]
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            asked: Any = {"mode": "slow", "secs": 3}
            with started("worker", 0, tmp_path / "first", env):
                run: Any = await client.runs.create(tid, "work", input=asked, headers=headers)
                await collector.named("node prep")
            with started("worker", 0, tmp_path / "second", env):
                await client.runs.join(tid, run["run_id"])
    attempts = [span for span in collector.spans if span.name == "run work"]
    assert sorted(facts(span)["frontdesk.attempt"] for span in attempts) == [1, 2]
    assert {span.trace_id.hex() for span in attempts} == {TRACE}


async def test_without_an_endpoint_nothing_is_sent_nor_noted(
    servers: dict[str, str], collector: Collector, tmp_path: Path, unused_tcp_port: int
) -> None:
    with started("all", unused_tcp_port, tmp_path / "log", servers):
        async with await ready(unused_tcp_port) as client:
            thread: Any = await client.threads.create()
            asked: Any = {"text": SAID, "fail": True}
            headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
            await client.runs.wait(
                thread["thread_id"], "complaint", input=asked, headers=headers, raise_error=False
            )
    assert collector.connections == 0
    lines = [orjson.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (failed,) = [line for line in lines if "failed" in line["message"]]
    assert "trace_id" not in failed
    assert SAID not in (tmp_path / "log").read_text()
