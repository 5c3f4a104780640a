"""What runs, models and tools leave in the metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from engine.caller import Caller
from engine.database import Pool
from engine.embedded import Servers
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from tests.fakes.graphs import GRAPHS

USED = {"input_tokens": 2_000, "output_tokens": 500, "total_tokens": 2_500}


@tool
async def add(one: int, other: int) -> int:
    """Add two numbers."""
    return one + other


@tool
async def fail() -> None:
    """Fail."""
    raise ValueError("no")


def costly() -> StateGraph[Any, Any, Any, Any]:
    async def think(state: MessagesState) -> dict[str, Any]:
        said = AIMessage("hello", usage_metadata=cast("Any", USED))
        model = GenericFakeChatModel(messages=iter([said]), metadata={"ls_model_name": "big"})
        await add.ainvoke({"one": 1, "other": 2})
        with pytest.raises(ValueError, match="no"):
            await fail.ainvoke({})
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    return cast("StateGraph[Any, Any, Any, Any]", graph)


@pytest.fixture
async def metered(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    priced = settings.model_copy(update={"prices": {"big": (2.5, 10.0)}})
    graphs = {**GRAPHS, "costly": costly()}
    async with open_engine(priced, servers, migrated, graphs) as engine:
        yield engine


async def run(engine: Engine, me: Caller, graph: str, given: Any) -> str:
    """The metrics after a run."""
    asked = await engine.runs.create(me, None, RunRequest(graph, input=given, create_thread=True))
    async with asyncio.timeout(20):
        async for _ in engine.watch.from_start(me, asked):
            pass
    await engine.backlog.refresh()
    return engine.metrics.text().decode()


async def test_tokens_and_money_are_counted_by_model_and_tenant(
    metered: Engine, me: Caller
) -> None:
    text = await run(metered, me, "costly", {"messages": "hi"})
    labels = 'model="big",tenant="acme"'
    assert f'frontdesk_model_tokens_total{{kind="input",{labels}}} 2000.0' in text
    assert f'frontdesk_model_tokens_total{{kind="output",{labels}}} 500.0' in text
    assert f"frontdesk_model_cost_total{{{labels}}} 0.01" in text
    assert 'frontdesk_model_seconds_count{model="big",outcome="ok"} 1.0' in text


async def test_tools_are_timed_by_how_they_ended(metered: Engine, me: Caller) -> None:
    text = await run(metered, me, "costly", {"messages": "hi"})
    assert 'frontdesk_tool_seconds_count{outcome="ok",tool="add"} 1.0' in text
    assert 'frontdesk_tool_seconds_count{outcome="error",tool="fail"} 1.0' in text


async def test_nodes_are_timed_and_stores_weighed(metered: Engine, me: Caller) -> None:
    text = await run(metered, me, "work", {"mode": "done"})
    for node in ("prep", "done"):
        assert f'frontdesk_node_seconds_count{{graph="work",node="{node}"}} 1.0' in text
    (stored,) = (line for line in text.splitlines() if line.startswith("frontdesk_checkpoint_byte"))
    assert float(stored.split()[1]) > 100


async def test_what_waits_is_told_with_its_age(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller
) -> None:
    idle = settings.model_copy(update={"role": "api"})
    async with open_engine(idle, servers, migrated, GRAPHS) as engine:
        for _ in range(3):
            await engine.runs.create(me, None, RunRequest("work", input={}, create_thread=True))
        async with engine.pool.connection() as conn:
            await conn.execute("update frontdesk.runs set after = now() - interval '90 seconds'")
        await engine.backlog.refresh()
        text, queue = engine.metrics.text().decode(), engine.backlog.queue
    assert "\nfrontdesk_runs_waiting 3.0" in text
    assert "\nfrontdesk_runs_oldest_seconds 9" in text
    assert "\nfrontdesk_jobs_dead 0.0" in text
    assert (queue["n_pending"], queue["n_running"]) == (3, 0)
    for kind in ("max", "med"):
        assert 90 <= (queue[f"pending_runs_wait_time_{kind}_secs"] or 0) < 100


async def test_a_crowded_pool_is_told_and_what_nobody_can_count_is_not(metered: Engine) -> None:
    async with AsyncExitStack() as held:
        for _ in range(metered.pool.max_size):
            await held.enter_async_context(metered.pool.connection())
        await metered.backlog.refresh()
        text = metered.metrics.text().decode()
    assert "\nfrontdesk_pool_free 0.0" in text
    assert "\nfrontdesk_runs_waiting NaN" in text
    assert set(metered.backlog.queue.values()) == {None}
