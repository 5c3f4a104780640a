import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, cast
from uuid import UUID, uuid4

import fakeredis
import orjson
import psycopg
import pytest
import redis.asyncio
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START, StateGraph
from psycopg import conninfo

from engine.caller import Caller
from engine.claims import Claims, Run
from engine.database import Pool, open_pool
from engine.embedded import Servers
from engine.errors import Elsewhere
from engine.fence import Fence
from engine.following import Event
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Role, Settings
from engine.watch import Batches
from tests.fakes.cable import cable
from tests.fakes.graphs import GRAPHS, Work

BACKGROUND_ONLY = 60.0  # a lease so long that neither beat nor sweep explains what happens

SWEEP_IS_HELD = """exists (
    select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
        and query like '%frontdesk.claim(%'
)"""


ENDINGS = [("base", "Stop"), ("cancelled", "NodeCancelledError"), ("exit", "NodeExit")]


class Stop(BaseException):
    """What no handler of exceptions expects."""


def stubborn(hearing: str = "") -> StateGraph[Any, Any, Any, Any]:
    """Blocks the event loop, or ends in a way that is no exception."""

    async def block(state: Work) -> Work:
        time.sleep(state.get("secs", 0))
        return {"steps": ["block"]}

    async def deaf(state: Work) -> Work:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(state.get("secs", 0))
        return {"steps": ["deaf"]}

    async def vanish(state: Work) -> Work:
        if state.get("mode") == "base":
            raise Stop("gone")
        if state.get("mode") == "cancelled":
            raise asyncio.CancelledError
        if state.get("mode") == "exit":
            sys.exit(1)
        return {}

    if hearing == "deaf":
        graph = StateGraph(Work)
        graph.add_sequence([deaf])
        graph.add_edge(START, "deaf")
        return cast("StateGraph[Any, Any, Any, Any]", graph)
    graph = StateGraph(Work)
    graph.add_sequence([block, vanish])
    graph.add_edge(START, "block")
    return cast("StateGraph[Any, Any, Any, Any]", graph)


def away() -> StateGraph[Any, Any, Any, Any]:
    """Cannot reach what it needs twice, then can."""
    tries = count(1)

    async def reach(state: Work) -> Work:
        if next(tries) < 3:
            raise psycopg.OperationalError("the server closed the connection unexpectedly")
        return {"steps": ["away"]}

    graph = StateGraph(Work)
    graph.add_node("reach", reach)
    graph.add_edge(START, "reach")
    return cast("StateGraph[Any, Any, Any, Any]", graph)


@pytest.fixture
def opened(settings: Settings, servers: Servers, migrated: Pool) -> Any:
    """Opens an engine of a role, as if it were a process of its own."""

    @asynccontextmanager
    async def open_one(role: Role, **changes: Any) -> AsyncIterator[Engine]:
        own = settings.model_copy(update={"role": role, "drain_seconds": 0.0, **changes})
        graphs = {**GRAPHS, "stubborn": stubborn(), "deaf": stubborn("deaf"), "away": away()}
        async with open_engine(own, servers, migrated, graphs) as engine:
            yield engine

    return open_one


async def ask(engine: Engine, me: Caller, graph: str = "work", **asked: Any) -> Run:
    thread = await engine.threads.create(me)
    return await engine.runs.create(me, thread.thread_id, RunRequest(graph, **asked))


async def outcome(engine: Engine, me: Caller, run: Run) -> Any:
    async with asyncio.timeout(20):
        pieces = engine.watch.output(me, engine.watch.from_start(me, run), run)
        return orjson.loads(b"".join([piece async for piece in pieces]))


async def flat(batches: Batches) -> list[Event]:
    return [event async for events in batches for event in events]


async def until_running(engine: Engine, me: Caller, run: Run) -> None:
    async with asyncio.timeout(10):
        while (await engine.runs.get(me, run.thread_id, run.run_id)).status != "running":
            await asyncio.sleep(0.01)


async def until_at(engine: Engine, me: Caller, run: Run, node: str) -> None:
    async with asyncio.timeout(10):
        while (await engine.states.get(me, run.thread_id))["next"] != [node]:
            await asyncio.sleep(0.01)


async def until(engine: Engine, condition: str) -> None:
    async with asyncio.timeout(10), engine.pool.connection() as conn:
        while not await (await conn.execute(f"select 1 where {condition}")).fetchone():
            await asyncio.sleep(0.01)


async def test_a_process_with_room_takes_its_own_runs_without_a_hint(
    opened: Any, me: Caller
) -> None:
    async with opened("all", lease_seconds=BACKGROUND_ONLY) as engine:
        run = await ask(engine, me, input={"mode": "done"})
        assert (await outcome(engine, me, run))["steps"] == ["prep", "done"]
        async with engine.pool.connection() as conn:
            jobs = await (await conn.execute("select * from procrastinate_jobs")).fetchall()
        assert jobs == []


async def test_a_hint_brings_a_run_to_a_worker_and_its_events_back(opened: Any, me: Caller) -> None:
    async with (
        opened("worker", lease_seconds=BACKGROUND_ONLY),
        opened("api", lease_seconds=BACKGROUND_ONLY) as api,
    ):
        await asyncio.sleep(0.3)
        run = await ask(api, me, "chat", input={"messages": "hi"}, stream_mode=["messages-tuple"])
        names = [event.name for event in await flat(api.watch.from_start(me, run))]
        assert names[0] == "metadata"
        assert names.count("messages") >= 4
        assert names[-1] == "end"


async def test_a_lost_hint_is_made_up_for(opened: Any, me: Caller) -> None:
    async with opened("api") as api:
        run = await ask(api, me, input={"mode": "done"})
        async with api.pool.connection() as conn:
            await conn.execute("delete from procrastinate_jobs")
        async with opened("worker", lease_seconds=1.0):
            assert (await outcome(api, me, run))["steps"] == ["prep", "done"]


async def test_a_cancel_crosses_processes_at_once(opened: Any, me: Caller) -> None:
    async with (
        opened("worker", lease_seconds=BACKGROUND_ONLY),
        opened("api", lease_seconds=BACKGROUND_ONLY) as api,
    ):
        await asyncio.sleep(0.3)
        run = await ask(api, me, input={"mode": "slow", "secs": 60})
        await until_running(api, me, run)
        began = time.monotonic()
        await api.runs.cancel(me, run.thread_id, run.run_id)
        await outcome(api, me, run)
        assert time.monotonic() - began < 12  # the next regular sweep is twenty seconds away
        assert (await api.runs.get(me, run.thread_id, run.run_id)).seen_status == "interrupted"


async def test_a_cancel_that_nobody_announced_is_found_by_the_beat(opened: Any, me: Caller) -> None:
    async with opened("all", lease_seconds=1.0) as engine:
        run = await ask(engine, me, input={"mode": "slow", "secs": 60})
        await until_running(engine, me, run)
        async with engine.pool.connection() as conn:
            await conn.execute("update frontdesk.runs set cancel='interrupt', cancel_reason='x'")
        await outcome(engine, me, run)
        assert (await engine.runs.get(me, run.thread_id, run.run_id)).status == "interrupted"


async def test_more_runs_than_slots_take_turns(opened: Any, me: Caller) -> None:
    async with opened("all", slots=2, lease_seconds=BACKGROUND_ONLY) as engine:
        runs = [await ask(engine, me, input={"mode": "slow", "secs": 0.1}) for _ in range(7)]
        results = await asyncio.gather(*(outcome(engine, me, run) for run in runs))
        assert [result["steps"] for result in results] == [["prep", "slow", "done"]] * 7


async def test_room_made_while_the_sweep_is_looking_is_used(opened: Any, me: Caller) -> None:
    async with opened("all", slots=2, lease_seconds=BACKGROUND_ONLY) as engine:
        slow = [await ask(engine, me, input={"mode": "slow", "secs": 60}) for _ in range(2)]
        for run in slow:
            await until_running(engine, me, run)
        waiting = [await ask(engine, me, input={"mode": "done"}) for _ in range(3)]
        await until(engine, "not exists (select 1 from procrastinate_jobs)")
        async with engine.pool.connection() as conn, conn.transaction():
            await conn.execute(
                "select 1 from frontdesk.threads where thread_id = %s for update",
                (waiting[0].thread_id,),
            )
            await engine.runs.cancel(me, slow[0].thread_id, slow[0].run_id)
            await until(engine, SWEEP_IS_HELD)
            await engine.runs.cancel(me, slow[1].thread_id, slow[1].run_id)
            await outcome(engine, me, slow[1])
            async with asyncio.timeout(10):
                while engine.metrics.snapshot()["workers"]["active"] > 1:
                    await asyncio.sleep(0.01)
        began = time.monotonic()
        results = await asyncio.gather(*(outcome(engine, me, run) for run in waiting))
        assert [result["steps"] for result in results] == [["prep", "done"]] * 3
        assert time.monotonic() - began < 10  # the next regular sweep is twenty seconds away


async def test_runs_of_one_thread_keep_their_order_under_load(opened: Any, me: Caller) -> None:
    async with opened("all", slots=3) as engine, opened("worker", slots=3):
        threads = [(await engine.threads.create(me)).thread_id for _ in range(6)]

        async def converse(thread_id: UUID) -> list[str]:
            for number in range(5):
                request = RunRequest("approval", command={"update": {"log": [str(number)]}})
                if number == 0:
                    request = RunRequest("approval", input={"log": ["0"]})
                last = await engine.runs.create(me, thread_id, request)
            await outcome(engine, me, last)
            state = await engine.states.get(me, thread_id)
            return [entry for entry in state["values"]["log"] if entry.isdecimal()]

        logs = await asyncio.gather(*(converse(thread_id) for thread_id in threads))
        assert logs == [["0", "1", "2", "3", "4"]] * 6


async def test_a_blocked_event_loop_costs_no_lease(opened: Any, me: Caller) -> None:
    async with opened("all", lease_seconds=1.0) as engine:
        run = await ask(engine, me, "stubborn", input={"secs": 2.0})
        assert (await outcome(engine, me, run))["steps"] == ["block"]
        seen = await engine.runs.get(me, run.thread_id, run.run_id)
        assert (seen.status, seen.attempt) == ("success", 1)


@pytest.mark.parametrize(("mode", "error"), ENDINGS)
async def test_a_node_may_end_in_any_way(opened: Any, me: Caller, mode: str, error: str) -> None:
    async with opened("all", lease_seconds=BACKGROUND_ONLY) as engine:
        run = await ask(engine, me, "stubborn", input={"mode": mode})
        assert (await outcome(engine, me, run))["__error__"]["error"] == error
        run = await ask(engine, me, input={"mode": "done"})
        assert (await outcome(engine, me, run))["steps"] == ["prep", "done"]


async def test_what_is_at_work_when_the_process_stops_is_handed_over(
    opened: Any, me: Caller
) -> None:
    async with opened("all", lease_seconds=BACKGROUND_ONLY) as first:
        run = await ask(first, me, input={"mode": "slow", "secs": 0.5})
        await until_running(first, me, run)
    async with opened("all") as second:
        assert (await outcome(second, me, run))["steps"] == ["prep", "slow", "done"]
        seen = await second.runs.get(me, run.thread_id, run.run_id)
        assert (seen.status, seen.attempt) == ("success", 2)


async def test_a_failed_request_gives_its_slot_back(opened: Any, me: Caller) -> None:
    async with opened("all", slots=1, lease_seconds=BACKGROUND_ONLY) as engine:
        for _ in range(3):
            with pytest.raises(Exception, match="Invalid assistant"):
                await ask(engine, me, "nope")
        run = await ask(engine, me, input={"mode": "done"})
        assert (await outcome(engine, me, run))["steps"] == ["prep", "done"]


async def test_runs_go_on_while_redis_is_away(
    settings: Settings, migrated: Pool, database_url: str, me: Caller, unused_tcp_port: int
) -> None:
    url = f"redis://127.0.0.1:{unused_tcp_port}"
    nowhere = redis.asyncio.Redis.from_url(url)
    servers = Servers(database_url, nowhere, url)
    async with open_engine(settings, servers, migrated, GRAPHS) as engine:
        run = await ask(engine, me, input={"mode": "slow", "secs": 0.2})
        assert (await outcome(engine, me, run))["steps"] == ["prep", "slow", "done"]
    await nowhere.aclose()


async def test_the_stand_in_for_redis_serves_one_process(
    settings: Settings, migrated: Pool, database_url: str, me: Caller
) -> None:
    stand_in = fakeredis.FakeAsyncRedis()
    servers = Servers(database_url, stand_in, None)
    async with open_engine(settings, servers, migrated, GRAPHS) as engine:
        asked: Any = {"stream_resumable": True, "stream_mode": ["messages-tuple"]}
        run = await ask(engine, me, "chat", input={"messages": "hi"}, **asked)
        events = await flat(engine.watch.from_start(me, run))
        run = await engine.runs.get(me, run.thread_id, run.run_id)
        assert await flat(engine.watch.rejoin(me, run, "-1")) == events
    await stand_in.aclose()


async def test_what_ignores_its_cancellation_is_left_to_itself(opened: Any, me: Caller) -> None:
    async with opened("all", lease_seconds=BACKGROUND_ONLY) as engine:
        run = await ask(engine, me, "deaf", input={"secs": 3.0})
        await until_running(engine, me, run)
        await asyncio.sleep(0.1)
        await engine.runs.cancel(me, run.thread_id, run.run_id)
        following = await engine.runs.create(
            me, run.thread_id, RunRequest("work", input={"mode": "done"})
        )
        assert (await outcome(engine, me, following))["steps"] == ["prep", "done"]
        assert (await engine.runs.get(me, run.thread_id, run.run_id)).status == "interrupted"
        async with asyncio.timeout(20):
            while engine.metrics.snapshot()["workers"]["active"] > 1:  # the other gives its back
                await asyncio.sleep(0.01)
            assert engine.metrics.snapshot()["workers"]["active"] == 1  # it has its slot still
            while engine.metrics.snapshot()["workers"]["active"]:
                await asyncio.sleep(0.01)
        state = await engine.states.get(me, run.thread_id)
        assert state["values"]["steps"] == ["prep", "done"]  # what it did in the end is void


@pytest.mark.parametrize("read", ["get", "history"])
async def test_a_state_that_is_read_while_its_run_is_stopped_is_that_after_the_stop(
    opened: Any, me: Caller, read: str
) -> None:
    """A page does both at once, and would take a node that was cut off for a breakpoint."""
    how = {"limit": 1} if read == "history" else {}
    errors = []
    async with opened("all", lease_seconds=BACKGROUND_ONLY) as engine:
        while "CancelledError()" not in errors and len(errors) < 3:  # a graph is waited for briefly
            asked = {"input": {"mode": "slow", "secs": 600}, "stream_mode": ["messages"]}
            run = await ask(engine, me, **asked)
            await until_at(engine, me, run, "slow")
            stopping = asyncio.create_task(engine.runs.cancel(me, run.thread_id, run.run_id))
            await asyncio.sleep(0)  # the request for it has come
            found = await getattr(engine.states, read)(me, run.thread_id, **how)
            assert (await engine.runs.get(me, run.thread_id, run.run_id)).status == "interrupted"
            (task,) = (found[0] if read == "history" else found)["tasks"]
            assert task["name"] == "slow"
            errors.append(task["error"])
            await stopping
    assert errors[-1] == "CancelledError()"


async def test_what_a_cancelled_graph_still_has_saved_is_saved(opened: Any, me: Caller) -> None:
    """LangGraph does not wait for the error of the node, which here waits behind others' saves."""
    others = [str(uuid4()) for _ in range(12)]  # enough to hold up every lane
    async with opened("all", lease_seconds=BACKGROUND_ONLY) as engine:
        run = await ask(engine, me, input={"mode": "slow", "secs": 600}, stream_mode=["messages"])
        await until_at(engine, me, run, "slow")
        async with (
            asyncio.TaskGroup() as group,
            engine.pool.connection() as conn,
            conn.transaction(force_rollback=True),
        ):
            for other in others:
                await conn.execute("select checkpoints.fence(%s, 1)", (other,))
                group.create_task(put_empty(engine, other))
            await asyncio.sleep(0.1)
            group.create_task(engine.runs.cancel(me, run.thread_id, run.run_id))
            await asyncio.sleep(0.6)  # longer than the graph is waited for
        (task,) = (await engine.states.get(me, run.thread_id))["tasks"]
        assert (task["name"], task["error"]) == ("slow", "CancelledError()")


async def put_empty(engine: Engine, thread_id: str) -> None:
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    await engine.graphs.checkpointer.aput(config, empty_checkpoint(), {}, {})


async def test_a_run_that_was_cancelled_is_over_when_the_answer_comes(
    opened: Any, me: Caller
) -> None:
    async with opened("api") as api, opened("worker", lease_seconds=BACKGROUND_ONLY):
        run = await ask(api, me, input={"mode": "slow", "secs": 600})
        await until_at(api, me, run, "slow")
        await api.runs.cancel(me, run.thread_id, run.run_id)
        seen = await api.runs.get(me, run.thread_id, run.run_id)
        assert (seen.status, seen.over) == ("interrupted", True)


async def test_a_cancelled_run_whose_worker_does_nothing_is_ended_by_another(
    opened: Any, me: Caller
) -> None:
    async with opened("api") as api:
        run = await ask(api, me, input={"mode": "done"})
        asleep = Claims(api.pool, api.jobs, Fence("checkpoints"), "asleep", BACKGROUND_ONLY)
        assert await asleep.claim_on(run.thread_id)
        await api.runs.cancel(me, run.thread_id, run.run_id)
        assert (await api.runs.get(me, run.thread_id, run.run_id)).seen_status == "interrupted"
        async with opened("worker", lease_seconds=1.0):
            async with asyncio.timeout(20):
                while not (await api.runs.get(me, run.thread_id, run.run_id)).over:
                    await asyncio.sleep(0.01)
        seen = await api.runs.get(me, run.thread_id, run.run_id)
        assert (seen.status, seen.attempt) == ("interrupted", 2)
        assert (await api.threads.get(me, run.thread_id)).status == "interrupted"


async def test_a_stream_ends_with_its_cancellation_though_nobody_ends_the_run(
    opened: Any, me: Caller
) -> None:
    async with opened("api") as api:
        run = await ask(api, me, input={"mode": "done"}, stream_resumable=True)
        asleep = Claims(api.pool, api.jobs, Fence("checkpoints"), "asleep", BACKGROUND_ONLY)
        assert await asleep.claim_on(run.thread_id)
        reading = asyncio.create_task(flat(api.watch.from_start(me, run)))
        await asyncio.sleep(0.1)
        await api.runs.cancel(me, run.thread_id, run.run_id)
        (end,) = await asyncio.wait_for(reading, 4)
        assert (end.name, orjson.loads(end.data)["status"]) == ("end", "interrupted")


async def test_a_tenant_has_no_more_runs_at_work_than_it_may(opened: Any, me: Caller) -> None:
    other = Caller("other:trusted:1", "other", trusted=True)
    async with opened("all", tenant_runs=2) as engine, opened("worker", tenant_runs=2):
        slow = {"mode": "slow", "secs": 0.3}
        mine = [await ask(engine, me, input=slow) for _ in range(6)]
        theirs = await ask(engine, other, input={"mode": "done"})
        most = 0
        working = asyncio.gather(*(outcome(engine, me, run) for run in mine))
        assert (await outcome(engine, other, theirs))["steps"] == ["prep", "done"]
        async with engine.pool.connection() as conn:
            while not working.done():
                cursor = await conn.execute(
                    "select count(*) as n from frontdesk.runs "
                    "where status = 'running' and tenant = %s",
                    (me.tenant,),
                )
                row = await cursor.fetchone()
                most = max(most, row["n"] if row else 0)
                await asyncio.sleep(0.02)
        assert most == 2
        assert [result["steps"][-1] for result in await working] == ["done"] * 6


async def test_a_stop_lets_a_run_end_its_super_step(opened: Any, me: Caller) -> None:
    async with opened("all", lease_seconds=BACKGROUND_ONLY, drain_seconds=10.0) as first:
        run = await ask(first, me, input={"mode": "slow", "secs": 0.5}, stream_resumable=True)
        await until_running(first, me, run)
        heard: list[Event] = []

        async def read() -> None:
            async for events in first.watch.from_start(me, run):
                heard.extend(events)

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        await first.drain()
        with pytest.raises(Elsewhere):
            await asyncio.wait_for(reading, 30)
        assert "end" not in {event.name for event in heard}
    async with opened("all") as second:
        seen = await second.runs.get(me, run.thread_id, run.run_id)
        rest = await flat(second.watch.rejoin(me, seen, heard[-1].id))
        assert rest[-1].name == "end"
        assert orjson.loads(rest[-2].data)["steps"] == ["prep", "slow", "done"]
        attempts = [
            orjson.loads(event.data)["attempt"] for event in rest if event.name == "metadata"
        ]
        assert attempts == [2]


async def test_a_run_lives_through_a_restart_of_postgres(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller
) -> None:
    own = settings.model_copy(update={"drain_seconds": 0.0})
    async with open_engine(own, servers, migrated, GRAPHS) as engine:
        run = await ask(engine, me, input={"mode": "slow", "secs": 1.0}, stream_resumable=True)
        reading = asyncio.create_task(flat(engine.watch.from_start(me, run)))
        await until_running(engine, me, run)
        for _ in range(8):  # what a restart does to connections, for a while
            async with await psycopg.AsyncConnection.connect(
                servers.database_url, autocommit=True
            ) as admin:
                await admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )
            await asyncio.sleep(0.2)
        events = await asyncio.wait_for(reading, 30)
        assert orjson.loads(events[-1].data)["status"] == "success"
        state = await engine.states.get(me, run.thread_id)
        assert state["values"]["steps"] == ["prep", "slow", "done"]


async def test_an_error_of_a_store_is_no_error_of_the_run(opened: Any, me: Caller) -> None:
    async with opened("all", lease_seconds=BACKGROUND_ONLY) as engine:
        run = await ask(engine, me, "away", input={"steps": []})
        assert (await outcome(engine, me, run))["steps"] == ["away"]
        seen = await engine.runs.get(me, run.thread_id, run.run_id)
        assert (seen.status, seen.attempt) == ("success", 3)


async def test_after_an_outage_workers_get_the_time_to_say_that_they_live(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller
) -> None:
    async with cable(f"{_folder(servers)}/.s.PGSQL.5432") as wire:
        cut_off = conninfo.make_conninfo(servers.database_url, host="127.0.0.1", port=wire.port)
        far = Servers(cut_off, servers.redis, servers.redis_url)
        own = settings.model_copy(update={"lease_seconds": 1.5, "drain_seconds": 0.0})
        async with (
            open_pool(cut_off) as pool,
            open_engine(own, far, pool, GRAPHS) as one,
            open_engine(own.model_copy(update={"slots": 1}), far, pool, GRAPHS),
        ):
            run = await ask(one, me, input={"mode": "slow", "secs": 6.0})
            async with asyncio.timeout(10):
                while (await one.states.get(me, run.thread_id))["next"] != ["slow"]:
                    await asyncio.sleep(0.01)
            wire.cut()
            await asyncio.sleep(3.0)
            wire.mend()
            assert (await outcome(one, me, run))["steps"] == ["prep", "slow", "done"]
            seen = await one.runs.get(me, run.thread_id, run.run_id)
            assert (seen.status, seen.attempt) == ("success", 1)


def _folder(servers: Servers) -> str:
    return str(conninfo.conninfo_to_dict(servers.database_url)["host"])
