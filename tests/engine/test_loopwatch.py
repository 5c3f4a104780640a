import asyncio
import inspect
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from langgraph.graph import START, StateGraph

from engine.caller import Caller
from engine.database import Pool
from engine.embedded import Servers
from engine.loopwatch import LoopWatch
from engine.metrics import Metrics
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.scope import Scope, scope
from engine.settings import Settings
from tests.fakes.graphs import Work
from tests.waiting import until

BLOCKED = "engine.loopwatch"
HERE = inspect.getsourcefile(lambda: None)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def watch(metrics: Metrics) -> AsyncIterator[LoopWatch]:
    watch = LoopWatch(metrics, 0.1)
    watch.start()
    yield watch
    await watch.stop()


def blocking() -> StateGraph[Any, Any, Any, Any]:
    """A node that blocks by itself, then one whose task of its own does."""

    async def stall(state: Work) -> Work:
        time.sleep(state.get("secs", 0.0))
        return {"steps": ["stall"]}

    async def delegate(state: Work) -> Work:
        async def child() -> None:
            time.sleep(state.get("secs", 0.0))

        await asyncio.gather(child())
        return {"steps": ["delegate"]}

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Work)
    graph.add_sequence([stall, delegate])
    graph.add_edge(START, "stall")
    return graph


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == BLOCKED]


def of_node(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in told(caplog) if getattr(record, "node", "")]


async def test_a_node_that_blocks_the_loop_is_named_once_with_its_run(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    runs: dict[str, str] = {}
    async with open_engine(settings, servers, migrated, {"sample": blocking()}) as engine:
        # On a busy machine the watcher itself may come too late: then they block once more.
        while set(noticed := _noticed(engine.metrics)) != {"stall", "delegate"}:
            assert len(runs) < 10, noticed
            run = await _run(engine, me, secs=1.0)
            runs[str(run.run_id)] = str(run.thread_id)
            await asyncio.sleep(0.5)
        records = of_node(caplog)  # other engines on this loop may have noticed too
    assert max(noticed.values()) <= len(runs)
    assert {record.node for record in records} == {"stall", "delegate"}
    for record in records:
        assert record.graph == "sample"
        assert runs[record.run_id] == record.thread_id
        assert record.seconds > 0.2
        assert f"node sample.{record.node} blocked the event loop for" in record.getMessage()
        assert f"{HERE}:" in record.getMessage()


def _noticed(metrics: Metrics) -> dict[str, float]:
    """How often each node of `sample` was."""
    count = r'^frontdesk_loop_blocked_seconds_count{graph="sample",node="(\w+)"} (.+)$'
    found = re.findall(count, metrics.text().decode(), re.MULTILINE)
    return {node: float(times) for node, times in found}


async def _run(engine: Engine, me: Caller, **given: Any) -> Any:
    thread = await engine.threads.create(me)
    run = await engine.runs.create(me, thread.thread_id, RunRequest("sample", input=given))
    async with asyncio.timeout(30):
        async for _ in engine.watch.from_start(me, run):
            pass
    return run


async def test_much_to_do_is_lag_but_nobodys_fault(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    async def piece() -> None:
        time.sleep(0.01)

    watch = LoopWatch(metrics, 0.4)  # a busy machine may keep a piece from its end for long
    watch.start()
    calm = watch.lag
    with watch.attending():
        await asyncio.wait([asyncio.create_task(piece()) for _ in range(60)])
    assert watch.lag > max(calm, 0.03)
    await asyncio.sleep(0.2)
    await watch.stop()
    assert not told(caplog)


async def test_lag_grows_while_the_loop_is_silent_and_is_forgotten_afterwards(
    watch: LoopWatch, metrics: Metrics
) -> None:
    time.sleep(1.5)
    during = watch.lag
    assert during > 0.2
    assert b"\nfrontdesk_loop_lag_seconds 0." in metrics.text()
    await until(lambda: watch.lag < during / 4)


async def test_what_blocks_outside_nodes_is_told_by_its_line(
    watch: LoopWatch, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        return [m for m in (one.getMessage() for one in told(caplog)) if m.startswith(told_so)]

    async def work() -> None:
        await asyncio.sleep(0.15)
        time.sleep(0.5)

    told_so = "something outside nodes blocked the event loop for"
    await _until(said, work)
    assert HERE in said()[0]


async def _until(told: Callable[[], Any], work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Block the loop again if need be: on a busy machine the watcher itself may come too late."""
    async with asyncio.timeout(60):
        while not told():
            await asyncio.create_task(work())
            await asyncio.sleep(0.2)


async def test_a_scope_set_in_a_task_is_found_in_it(
    watch: LoopWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        scope.set(Scope("g", "r", "t", node="n"))
        await asyncio.sleep(0)
        time.sleep(0.5)

    with watch.attending():
        await _until(lambda: of_node(caplog), work)
    record = of_node(caplog)[-1]
    assert (record.graph, record.node, record.run_id) == ("g", "n", "r")


async def test_the_thread_rests_while_there_is_nothing_to_watch_over(watch: LoopWatch) -> None:
    async def ticks(seconds: float) -> int:
        seen = set()
        async with asyncio.timeout(20):
            for _ in range(round(seconds / 0.02)):
                seen.add(watch._due)
                await asyncio.sleep(0.02)
        return len(seen)

    idle = await ticks(1.5)
    with watch.attending():
        busy = await ticks(1.5)
    assert idle < busy


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_names_the_node_on_whatever_loop_serves(
    loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None

    async def block() -> None:
        scope.set(Scope("g", "r", "t", node=loop))
        time.sleep(0.6)

    async def main() -> None:
        watch = LoopWatch(Metrics(), 0.1)
        watch.start()
        with watch.attending():
            await _until(lambda: of_node(caplog), block)
        await watch.stop()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    assert {record.node for record in of_node(caplog)} == {loop}
