"""Former owners of a thread: on every checkpointer they write no checkpoint any more."""

import asyncio
import operator
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, cast
from uuid import UUID

import pytest
import redis.asyncio
from langgraph.graph import START, StateGraph
from langgraph.runtime import RunControl
from typing_extensions import TypedDict

from checkpoints import EPOCH, Superseded
from engine.caller import Caller
from engine.claims import Claims, Ending, Run
from engine.database import Pool
from engine.embedded import Servers
from engine.errors import Conflict
from engine.events import Events
from engine.execution import Executor
from engine.fence import Fence, fenced
from engine.graphs import saver
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.snapshots import Settled, address

ONCE = ["first", "first", "a", "b", "last"]  # the subgraph gives back what it was given too
TWICE = [*ONCE, *ONCE[:1], *ONCE, *ONCE[:1], *ONCE[2:]]
SUCCESS = Ending("success", "idle", Settled("idle", {}, {}))


class Steps(TypedDict, total=False):
    gate: str
    steps: Annotated[list[str], operator.add]


class Gate:
    """Where a graph waits for the test, and the test for the graph."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def passing(self, state: Steps, name: str) -> None:
        if state.get("gate") == name:
            self._reached.set()
            await self._opened.wait()

    async def reached(self) -> None:
        async with asyncio.timeout(20):
            await self._reached.wait()

    def open(self) -> None:
        self._opened.set()


def gated(gate: Gate) -> StateGraph[Any, Any, Any, Any]:
    """Two steps around a subgraph of two; the one that the state names waits."""

    def step(name: str) -> Any:
        async def work(state: Steps) -> Steps:
            await gate.passing(state, name)
            return {"steps": [name]}

        return work

    async def onward(state: Steps) -> str:
        await gate.passing(state, "between")
        return "inner"

    inner = StateGraph(Steps)
    inner.add_sequence([("a", step("a")), ("b", step("b"))])
    inner.add_edge(START, "a")
    outer = StateGraph(Steps)
    outer.add_node("first", step("first"))
    outer.add_node("inner", inner.compile())
    outer.add_node("last", step("last"))
    outer.add_edge(START, "first")
    outer.add_conditional_edges("first", onward, ["inner"])
    outer.add_edge("inner", "last")
    return cast("StateGraph[Any, Any, Any, Any]", outer)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture(params=["tiered", "postgres", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Open = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture
def opened(settings: Settings, servers: Servers, migrated: Pool, kind: str) -> Open:
    """Opens an engine as if it were a process of its own. No beat tells it what it lost."""
    chosen = settings.model_copy(
        update={"checkpointer": kind, "lease_seconds": 60.0, "drain_seconds": 0.0}
    )

    def open_one(gate: Gate, **changes: Any) -> AbstractAsyncContextManager[Engine]:
        own = chosen.model_copy(update=changes)
        return open_engine(own, servers, migrated, {"gated": gated(gate)})

    return open_one


@pytest.fixture
async def paused(opened: Open, gate: Gate) -> AsyncIterator[Engine]:
    """The engine of a worker that waits at the gate and does not hear what happens meanwhile."""
    async with opened(gate) as engine:
        yield engine
        gate.open()


@pytest.fixture
async def waiting(opened: Open, gate: Gate) -> AsyncIterator[Engine]:
    """One that executes nothing by itself, with the gate in its graph."""
    async with opened(gate, role="api") as engine:
        yield engine
        gate.open()


@pytest.fixture
async def desk(opened: Open) -> AsyncIterator[Engine]:
    """Another one, which executes nothing by itself."""
    gate = Gate()
    gate.open()
    async with opened(gate, role="api") as engine:
        yield engine


@pytest.fixture
def rescuer(desk: Engine, kind: str) -> Claims:
    fence = Fence(None if kind == "redis" else "checkpoints")
    return Claims(desk.pool, desk.jobs, fence, "rescuer", 60)


@pytest.fixture
async def thread_id(desk: Engine, me: Caller) -> UUID:
    return (await desk.threads.create(me)).thread_id


async def ask(engine: Engine, me: Caller, thread_id: UUID, gate: str = "") -> Run:
    asked: Any = {"stream_mode": ["updates"], "stream_subgraphs": True, "stream_resumable": True}
    return await engine.runs.create(
        me, thread_id, RunRequest("gated", input={"gate": gate}, **asked)
    )


async def lost(desk: Engine, claims: Claims, thread_id: UUID) -> None:
    """The worker's lease runs out."""
    async with desk.pool.connection() as conn:
        await conn.execute("update frontdesk.runs set lease_until = now() - interval '1 second'")
    assert await claims.take_over(await claims.lost()) == [thread_id]


async def execute(engine: Engine, servers: Servers, run: Run) -> None:
    """What a worker does with a claimed run."""
    events = Events(servers.redis)
    async with events.write(run.thread_id, run.run_id, run.epoch or 0) as writer:
        executor = Executor(engine.graphs, engine.loop, engine.metrics)
        await executor.execute(run, writer, RunControl())
    await events.close()


async def finished_by(engine: Engine, servers: Servers, claims: Claims, thread_id: UUID) -> Run:
    run = await claims.claim_on(thread_id)
    assert run is not None
    await execute(engine, servers, run)
    await claims.finish(run, SUCCESS, more=False)
    return run


async def at_rest(engine: Engine) -> None:
    """Until the worker has no run any more."""
    async with asyncio.timeout(20):
        while engine.metrics.busy._value.get():
            await asyncio.sleep(0.01)


async def stored(engine: Engine, thread_id: UUID) -> list[Any]:
    """Every checkpoint of the thread, of all namespaces, with its writes."""
    config: Any = {"configurable": {"thread_id": str(thread_id)}}
    found = [one async for one in engine.graphs.checkpointer.alist(config)]
    return [(one.config, one.checkpoint, one.pending_writes) for one in found]


async def is_a_line(engine: Engine, thread_id: UUID) -> bool:
    """Whether every checkpoint but the first follows the one before it."""
    found = [one async for one in engine.graphs.checkpointer.alist(address(thread_id))]
    ids = [one.config["configurable"]["checkpoint_id"] for one in found]
    parents = [(one.parent_config or {"configurable": {}})["configurable"] for one in found]
    return [one.get("checkpoint_id") for one in parents] == [*ids[1:], None]


@pytest.mark.parametrize("where", ["a", "last"])
async def test_a_worker_that_wakes_up_adds_nothing(
    paused: Engine, desk: Engine, rescuer: Claims, servers: Servers, redis: redis.asyncio.Redis,
    me: Caller, thread_id: UUID, gate: Gate, where: str,
) -> None:  # fmt: skip
    await ask(paused, me, thread_id, where)
    await gate.reached()
    await lost(desk, rescuer, thread_id)
    run = await finished_by(desk, servers, rescuer, thread_id)
    before = await stored(desk, thread_id)
    events = await redis.xlen(f"frontdesk:events:{{{thread_id}}}")
    thread = await desk.threads.get(me, thread_id)
    gate.open()
    await at_rest(paused)
    assert await stored(desk, thread_id) == before
    assert await is_a_line(desk, thread_id)
    assert await redis.xlen(f"frontdesk:events:{{{thread_id}}}") == events
    assert await desk.threads.get(me, thread_id) == thread
    seen = await desk.runs.get(me, thread_id, run.run_id)
    assert (seen.status, seen.attempt, seen.error) == ("success", 2, None)
    state = await desk.states.get(me, thread_id)
    assert state["values"]["steps"] == ONCE


async def test_a_claim_ends_the_writing_of_the_one_before_it(
    paused: Engine,
    desk: Engine,
    rescuer: Claims,
    opened: Open,
    me: Caller,
    thread_id: UUID,
    gate: Gate,
    kind: str,
) -> None:
    await ask(paused, me, thread_id, "a")
    await gate.reached()
    await lost(desk, rescuer, thread_id)
    run = await rescuer.claim_on(thread_id)
    assert run is not None
    if kind == "redis":  # which learns of a claim when its owner reads
        await saver(desk.graphs.get("gated")).aget_tuple(fenced(address(thread_id), run.epoch))
    before = await stored(desk, thread_id)
    gate.open()
    await at_rest(paused)
    assert await stored(desk, thread_id) == before
    seen = await desk.runs.get(me, thread_id, run.run_id)
    assert (seen.status, seen.epoch, seen.error) == ("running", run.epoch, None)


async def test_a_deleted_thread_stays_empty(
    waiting: Engine, desk: Engine, rescuer: Claims, servers: Servers,
    me: Caller, thread_id: UUID, gate: Gate,
) -> None:  # fmt: skip
    await ask(desk, me, thread_id, "a")
    run = await rescuer.claim_on(thread_id)
    assert run is not None
    dying = asyncio.create_task(execute(waiting, servers, run))
    await gate.reached()
    await desk.threads.delete(me, thread_id)
    gate.open()
    with pytest.raises(Superseded):
        await dying
    assert await stored(desk, thread_id) == []


async def test_an_id_of_a_deleted_thread_can_be_used_again(
    desk: Engine, rescuer: Claims, servers: Servers, me: Caller, thread_id: UUID
) -> None:
    for _ in range(3):
        await ask(desk, me, thread_id)
        await finished_by(desk, servers, rescuer, thread_id)
    await desk.threads.delete(me, thread_id)
    await desk.threads.create(me, thread_id=thread_id)
    await ask(desk, me, thread_id)
    await finished_by(desk, servers, rescuer, thread_id)
    state = await desk.states.get(me, thread_id)
    assert state["values"]["steps"] == ONCE


async def test_a_run_that_is_deleted_before_anybody_takes_it_over_leaves_nothing(
    paused: Engine,
    desk: Engine,
    rescuer: Claims,
    opened: Open,
    me: Caller,
    thread_id: UUID,
    gate: Gate,
    kind: str,
) -> None:
    run = await ask(paused, me, thread_id, "a")
    await gate.reached()
    await lost(desk, rescuer, thread_id)
    await desk.runs.delete(me, thread_id, run.run_id)
    through = Gate()
    through.open()
    async with opened(through) as other, asyncio.timeout(20):  # whoever has it next ends it
        while (await other.threads.get(me, thread_id)).status == "busy":
            await asyncio.sleep(0.01)
    assert await stored(desk, thread_id) == []
    gate.open()
    await at_rest(paused)
    if kind != "redis":  # where nobody has read since, nobody can know
        assert await stored(desk, thread_id) == []


async def test_an_update_is_refused_when_a_run_has_come_in_between(
    waiting: Engine, desk: Engine, rescuer: Claims, servers: Servers,
    me: Caller, thread_id: UUID, gate: Gate,
) -> None:  # fmt: skip
    await ask(desk, me, thread_id)
    await finished_by(desk, servers, rescuer, thread_id)
    values = {"gate": "between", "steps": ["edited"]}
    update = asyncio.create_task(waiting.states.update(me, thread_id, values, as_node="first"))
    await gate.reached()
    await ask(desk, me, thread_id)
    run = await finished_by(desk, servers, rescuer, thread_id)
    gate.open()
    with pytest.raises(Conflict):
        await update
    assert await is_a_line(desk, thread_id)
    state = await desk.states.get(me, thread_id)
    assert state["values"]["steps"] == TWICE
    assert state["metadata"]["run_id"] == str(run.run_id)


async def test_an_update_leaves_a_thread_busy_that_a_run_waits_for(
    waiting: Engine, desk: Engine, rescuer: Claims, servers: Servers,
    me: Caller, thread_id: UUID, gate: Gate,
) -> None:  # fmt: skip
    await ask(desk, me, thread_id)
    await finished_by(desk, servers, rescuer, thread_id)
    values = {"gate": "between", "steps": ["edited"]}
    update = asyncio.create_task(waiting.states.update(me, thread_id, values, as_node="first"))
    await gate.reached()
    await ask(desk, me, thread_id)
    gate.open()
    await update
    thread = await desk.threads.get(me, thread_id)
    assert (thread.status, thread.values["steps"][-1]) == ("busy", "edited")
    await finished_by(desk, servers, rescuer, thread_id)
    assert await is_a_line(desk, thread_id)


async def test_no_client_sees_an_epoch(desk: Engine, rescuer: Claims, servers: Servers, me: Caller,
    thread_id: UUID, redis: redis.asyncio.Redis,
) -> None:  # fmt: skip
    modes = ("values", "updates", "messages", "tasks", "checkpoints", "debug", "custom")
    asked: Any = {"stream_mode": modes, "stream_subgraphs": True, "stream_resumable": True}
    run = await desk.runs.create(me, thread_id, RunRequest("gated", input={}, **asked))
    await finished_by(desk, servers, rescuer, thread_id)
    await desk.states.update(me, thread_id, {"steps": ["edited"]}, as_node="first")
    shown = [
        await redis.xrange(f"frontdesk:events:{{{thread_id}}}"),
        await desk.states.get(me, thread_id, subgraphs=True),
        await desk.states.history(me, thread_id, limit=20),
        await desk.runs.get(me, thread_id, run.run_id),
        await stored(desk, thread_id),
    ]
    assert shown[0]
    assert EPOCH not in repr(shown)
    assert "epoch" not in repr(shown[:3])
