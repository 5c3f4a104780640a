import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.analytics import Analytics
from engine.caller import Caller
from engine.claims import Ending, Run
from engine.database import Pool, fetch_all
from engine.embedded import Servers
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.snapshots import Settled
from tests.fakes.graphs import GRAPHS
from tests.waiting import until


@pytest.fixture
async def engine(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    followers = {"analytics": Analytics(migrated).follower}
    async with open_engine(settings, servers, migrated, GRAPHS, followers=followers) as engine:
        yield engine


async def rows(pool: Pool) -> list[dict[str, Any]]:
    async with pool.connection() as conn:
        return await fetch_all(conn, "select * from frontdesk.analytics", {})


async def asked(engine: Engine, me: Caller) -> Run:
    thread = await engine.threads.create(me)
    request = RunRequest("work", input={"mode": "done"})
    return await engine.runs.create(me, thread.thread_id, request)


async def test_every_run_leaves_one_row_however_often_its_job_is_done(
    engine: Engine, me: Caller
) -> None:
    run = await asked(engine, me)
    [row] = await until(lambda: rows(engine.pool))
    assert (row["run_id"], row["graph_id"], row["status"]) == (run.run_id, "work", "success")
    assert (row["tenant"], row["input_tokens"], row["ms"]) == ("acme", 0, {})
    assert row["started_at"] <= row["ended_at"]
    again = {name: row[name] for name in ("thread_id", "tenant", "graph_id", "status")}
    again |= {"run_id": run.run_id, "started_at": None, "ended_at": row["ended_at"]}
    await asyncio.gather(*(Analytics(engine.pool).add(tokens={}, ms={}, **again) for _ in "ab"))
    assert await rows(engine.pool) == [row]


async def test_tokens_and_times_are_those_of_this_run_alone(engine: Engine, me: Caller) -> None:
    run = await asked(engine, me)
    [row] = await until(lambda: rows(engine.pool))
    carry = Analytics(engine.pool).follower.carry
    usage = {
        "run_id": str(run.run_id),
        "tokens": {"small": {"input": 3, "output": 1}, "large": {"input": 40, "output": 20}},
        "ms": {"generate": 12.5},
    }

    def left(values: Any) -> Any:
        return carry(run, Ending("success", "idle", Settled("idle", values, {})))

    assert left({"usage": usage}) == {"tokens": usage["tokens"], "ms": usage["ms"]}
    for other in ({"usage": {**usage, "run_id": "another"}}, {"usage": None}, {}, None):
        assert left(other) == {"tokens": {}, "ms": {}}
    fresh = {**row, "run_id": row["thread_id"], "tokens": usage["tokens"], "ms": usage["ms"]}
    await Analytics(engine.pool).add(**fresh)
    counted = [r for r in await rows(engine.pool) if r["run_id"] == row["thread_id"]]
    assert [(r["input_tokens"], r["output_tokens"]) for r in counted] == [(43, 21)]
