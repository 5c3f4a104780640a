import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Annotated, Any

import orjson
import pytest
from langchain_core.messages import AnyMessage
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt
from typing_extensions import TypedDict

from engine.caller import Caller
from engine.claims import Run
from engine.database import Pool
from engine.embedded import Servers
from engine.errors import ConfigError
from engine.following import Event
from engine.offload import in_thread
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from tests.fakes.graphs import Greeter

TICKS = 40
Open = Callable[[str], AbstractAsyncContextManager[Engine]]


class Said(TypedDict, total=False):
    what: str
    secs: float
    thread: str
    messages: Annotated[list[AnyMessage], add_messages]


def noisy(log: list[Any]) -> StateGraph[Any, Any, Any, Any]:
    """One node that blocks, asks, fails or speaks; a log of what happens in which order."""

    async def stall(state: Said) -> Said:
        here = threading.current_thread().name
        if state["what"] == "block":
            log.append("begin")
            time.sleep(state["secs"])
            log.append("end")
        elif state["what"] == "ask":
            return {"what": f"{interrupt('well?')} {get_config()['configurable']['run_id']}"}
        elif state["what"] == "fail":
            raise ValueError("from the node")
        elif state["what"] == "speak":
            get_stream_writer()({"custom": "from the node"})
            return {"messages": [await Greeter().ainvoke("hello")]}
        elif state["what"] == "wait":
            try:
                log.append("waiting")
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                log.append("cancelled")
                raise
        return {"thread": here}

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Said)
    graph.add_node("stall", stall)
    graph.add_edge(START, "stall")
    return graph


def ticking() -> StateGraph[Any, Any, Any, Any]:
    async def tick(state: Said) -> Said:
        for number in range(TICKS):
            get_stream_writer()(number)
            await asyncio.sleep(0.02)
        return {}

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Said)
    graph.add_node("tick", tick)
    graph.add_edge(START, "tick")
    return graph


@pytest.fixture
def log() -> list[Any]:
    return []


@pytest.fixture
def opened(settings: Settings, servers: Servers, migrated: Pool, log: list[Any]) -> Open:
    def open_one(threaded: str) -> AbstractAsyncContextManager[Engine]:
        own = settings.model_copy(update={"threaded_nodes": threaded, "drain_seconds": 0.0})
        return open_engine(own, servers, migrated, {"noisy": noisy(log), "ticking": ticking()})

    return open_one


async def ask(engine: Engine, me: Caller, graph: str, **asked: Any) -> Run:
    thread = await engine.threads.create(me)
    return await engine.runs.create(me, thread.thread_id, RunRequest(graph, **asked))


async def events(engine: Engine, me: Caller, run: Run) -> list[Event]:
    async with asyncio.timeout(30):
        return [event async for batch in engine.watch.from_start(me, run) for event in batch]


def last(events: list[Event], name: str) -> Any:
    return orjson.loads([event.data for event in events if event.name == name][-1])


async def beside_a_blocker(engine: Engine, me: Caller, log: list[Any]) -> list[Any]:
    """What happened in which order: the blocker's begin and end, and its neighbour's events."""
    run = await ask(engine, me, "ticking", input={"what": "x"}, stream_mode=["custom"])

    async def read() -> None:
        async for batch in engine.watch.from_start(me, run):
            log.extend(orjson.loads(event.data) for event in batch if event.name == "custom")

    reading = asyncio.create_task(read())
    async with asyncio.timeout(30):
        while not log:
            await asyncio.sleep(0.005)
        blocker = await ask(engine, me, "noisy", input={"what": "block", "secs": 0.5})
        assert last(await events(engine, me, blocker), "end")["status"] == "success"
        await reading
    return log


def during(log: list[Any]) -> list[Any]:
    return log[log.index("begin") + 1 : log.index("end")]


async def test_a_blocking_node_stalls_its_neighbour_who_loses_nothing(
    opened: Open, me: Caller, log: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with opened("") as engine:
        happened = await beside_a_blocker(engine, me, log)
        async with asyncio.timeout(10):
            while "node noisy.stall blocked the event loop" not in caplog.text:
                await asyncio.sleep(0.02)
    assert during(happened) == []
    assert [one for one in happened if isinstance(one, int)] == list(range(TICKS))


async def test_a_blocking_node_in_a_thread_stalls_nobody(
    opened: Open, me: Caller, log: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with opened("noisy.stall") as engine:
        happened = await beside_a_blocker(engine, me, log)
    assert len(during(happened)) > 2
    assert [one for one in happened if isinstance(one, int)] == list(range(TICKS))
    assert "noisy.stall" not in caplog.text


@pytest.mark.parametrize(("threaded", "moved"), [("", False), ("noisy.stall", True), ("*", True)])
async def test_only_the_nodes_that_are_named_get_threads(
    opened: Open, me: Caller, threaded: str, *, moved: bool
) -> None:
    async with opened(threaded) as engine:
        run = await ask(engine, me, "noisy", input={"what": "x"})
        state = last(await events(engine, me, run), "values")
    assert (state["thread"] == "noisy.stall") is moved


async def test_a_node_in_a_thread_asks_and_is_answered(opened: Open, me: Caller) -> None:
    async with opened("*") as engine:
        run = await ask(engine, me, "noisy", input={"what": "ask"})
        asked = last(await events(engine, me, run), "values")
        assert asked["__interrupt__"][0]["value"] == "well?"
        answer = RunRequest("noisy", command={"resume": "yes"})
        run = await engine.runs.create(me, run.thread_id, answer)
        assert last(await events(engine, me, run), "values")["what"] == f"yes {run.run_id}"


async def test_what_a_node_in_a_thread_streams_arrives(opened: Open, me: Caller) -> None:
    async with opened("*") as engine:
        modes = ["custom", "messages-tuple", "values"]
        run = await ask(engine, me, "noisy", input={"what": "speak"}, stream_mode=modes)
        told = await events(engine, me, run)
    assert last(told, "custom") == {"custom": "from the node"}
    pieces = [orjson.loads(e.data)[0]["content"] for e in told if e.name == "messages"]
    assert "".join(pieces) == "Hello there dear user"
    assert len(pieces) > 1


async def test_an_error_in_a_thread_ends_the_run_with_it(opened: Open, me: Caller) -> None:
    async with opened("*") as engine:
        run = await ask(engine, me, "noisy", input={"what": "fail"})
        told = await events(engine, me, run)
    assert last(told, "error") == {"error": "ValueError", "message": "from the node"}


async def test_a_cancelled_run_leaves_its_thread_behind(
    opened: Open, me: Caller, log: list[Any]
) -> None:
    async with opened("*") as engine, asyncio.timeout(30):
        run = await ask(engine, me, "noisy", input={"what": "wait"})
        while not log:
            await asyncio.sleep(0.01)
        await engine.runs.cancel(me, run.thread_id, run.run_id)
        await events(engine, me, run)
        assert (await engine.runs.get(me, run.thread_id, run.run_id)).status == "interrupted"
        while log != ["waiting", "cancelled"]:
            await asyncio.sleep(0.01)


async def test_a_node_that_no_graph_has_is_refused(opened: Open) -> None:
    with pytest.raises(ConfigError, match=r"no node noisy\.stal; there are noisy\.stall"):
        async with opened("noisy.stal"):
            pass


async def test_context_variables_go_in_and_do_not_come_out() -> None:
    seen: ContextVar[str] = ContextVar("seen", default="nothing")
    seen.set("outside")

    async def work() -> str:
        found = seen.get()
        seen.set("inside")
        return found

    assert await in_thread(work, "test") == "outside"
    assert seen.get() == "outside"


async def test_what_returns_after_its_caller_was_cancelled_is_dropped() -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    async def work() -> str:
        begun.set()
        go.wait(20)
        done.set()
        return "too late"

    task = asyncio.create_task(in_thread(work, "test"))
    assert await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await asyncio.to_thread(done.wait, 20)
