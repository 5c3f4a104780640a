"""Two questions at once: told together, answered one by one."""

import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from engine.caller import Caller
from engine.database import Pool
from engine.embedded import Servers
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.threads import Thread


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def both() -> StateGraph[Any, Any, Any, Any]:
    async def left(state: Log) -> Log:
        return {"log": [f"left:{interrupt('left?')}"]}

    async def right(state: Log) -> Log:
        return {"log": [f"right:{interrupt('right?')}"]}

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    for node in (left, right):
        graph.add_node(node.__name__, node)
        graph.add_edge(START, node.__name__)
    return graph


@pytest.fixture
async def engine(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    async with open_engine(settings, servers, migrated, {"both": both()}) as engine:
        yield engine


async def waited(engine: Engine, me: Caller, thread: Thread, **asked: Any) -> Any:
    run = await engine.runs.create(me, thread.thread_id, RunRequest("both", **asked))
    pieces = engine.watch.output(me, engine.watch.from_start(me, run), run)
    return orjson.loads(b"".join([piece async for piece in pieces]))


async def test_all_questions_are_in_what_a_run_leaves(engine: Engine, me: Caller) -> None:
    thread = await engine.threads.create(me)
    asked = (await waited(engine, me, thread, input={"log": []}))["__interrupt__"]
    ids = {one["value"]: one["id"] for one in asked}
    assert set(ids) == {"left?", "right?"}
    refused = await waited(engine, me, thread, command={"resume": "both"})
    assert "you must specify the interrupt id" in refused["__error__"]["message"]
    now = await engine.threads.get(me, thread.thread_id)
    assert now.status == "error"
    assert len(now.interrupts or {}) == 2
    left = await waited(engine, me, thread, command={"resume": {ids["left?"]: "yes"}})
    assert left["log"] == ["left:yes"]
    assert [one["value"] for one in left["__interrupt__"]] == ["right?"]
    done = await waited(engine, me, thread, command={"resume": {ids["right?"]: "no"}})
    assert done == {"log": ["left:yes", "right:no"]}
