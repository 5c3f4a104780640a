import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from engine.caller import Caller
from engine.claims import Claims, Ending, Run
from engine.database import Connection, Pool, fetch_all
from engine.embedded import Servers
from engine.outbox import Follower, Outbox
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.snapshots import Settled
from tests.fakes.graphs import GRAPHS

SUCCESS = Ending("success", "idle", Settled("idle", {"steps": []}, {}))


async def unwanted(**args: Any) -> None:
    raise AssertionError(args)


FOLLOWERS = {
    "each": Follower(unwanted),
    "chats": Follower(unwanted, graphs=frozenset({"chat"})),
    "failures": Follower(
        unwanted, carry=lambda run, ending: {"why": ending.error} if ending.error else None
    ),
    "digest": Follower(unwanted, delay=60, merge=True),
}


@pytest.fixture
async def desk(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    """An engine that takes requests and executes nothing, neither runs nor jobs."""
    quiet = settings.model_copy(update={"role": "api"})
    async with open_engine(quiet, servers, migrated, GRAPHS, followers=FOLLOWERS) as engine:
        yield engine


@pytest.fixture
async def thread_id(desk: Engine, me: Caller) -> UUID:
    return (await desk.threads.create(me)).thread_id


async def claimed(desk: Engine, me: Caller, thread_id: UUID) -> Run:
    await desk.runs.create(me, thread_id, RunRequest("work", input={}))
    run = await desk.claims.claim_on(thread_id)
    assert run is not None
    return run


async def jobs(pool: Pool) -> list[dict[str, Any]]:
    sql = "select * from procrastinate_jobs where queue_name = 'background' order by task_name, id"
    async with pool.connection() as conn:
        return await fetch_all(conn, sql, {})


async def test_what_follows_a_run_is_there_when_it_has_ended(
    desk: Engine, me: Caller, thread_id: UUID
) -> None:
    run = await claimed(desk, me, thread_id)
    assert await jobs(desk.pool) == []
    assert Outbox(FOLLOWERS).wants(run, SUCCESS)
    assert not Outbox({"chats": FOLLOWERS["chats"]}).wants(run, SUCCESS)
    await desk.claims.finish(run, SUCCESS, more=False)
    digest, each = await jobs(desk.pool)
    assert (digest["task_name"], each["task_name"]) == ("digest", "each")
    assert digest["scheduled_at"] is not None
    assert each["scheduled_at"] is None
    told = each["args"]
    assert told["key"] == f"{run.run_id}:each"
    assert (told["run_id"], told["thread_id"]) == (str(run.run_id), str(thread_id))
    assert (told["graph_id"], told["status"], told["tenant"]) == ("work", "success", "acme")
    assert told["started_at"] <= told["ended_at"]


async def test_a_follower_says_itself_what_it_needs(
    desk: Engine, me: Caller, thread_id: UUID
) -> None:
    run = await claimed(desk, me, thread_id)
    error = {"error": "ValueError", "message": "a zero byte: \0"}
    failed = Ending("error", "error", Settled("error", {}, {}), error)
    await desk.claims.finish(run, failed, more=False)
    [job] = [job for job in await jobs(desk.pool) if job["task_name"] == "failures"]
    assert job["args"]["why"] == {"error": "ValueError", "message": "a zero byte: \ufffd"}


async def test_an_end_that_is_rolled_back_leaves_no_jobs(
    desk: Engine, me: Caller, thread_id: UUID
) -> None:
    run = await claimed(desk, me, thread_id)

    class Failing(Outbox):
        async def add(self, conn: Connection, run: Run, ending: Ending) -> None:
            await super().add(conn, run, ending)
            raise RuntimeError("after the jobs were written")

    outbox = Failing(FOLLOWERS)
    failing = Claims(desk.pool, desk.jobs, desk.claims._fence, "other", 60, outbox=outbox)
    with pytest.raises(RuntimeError, match="after the jobs"):
        await failing.finish(run, SUCCESS, more=False)
    assert await jobs(desk.pool) == []
    await desk.claims.finish(run, SUCCESS, more=False)
    assert len(await jobs(desk.pool)) == 2


async def test_runs_that_end_in_a_row_make_one_job_where_one_is_enough(
    desk: Engine, me: Caller, thread_id: UUID
) -> None:
    for _ in range(3):
        run = await claimed(desk, me, thread_id)
        await desk.claims.finish(run, SUCCESS, more=False)
    names = [job["task_name"] for job in await jobs(desk.pool)]
    assert names == ["digest", "each", "each", "each"]


async def test_a_job_that_stands_for_a_run_does_not_begin_before_the_run_has_ended(
    desk: Engine, me: Caller, thread_id: UUID
) -> None:
    """Else it would read the thread as it was, and nobody would look again."""
    await desk.claims.finish(await claimed(desk, me, thread_id), SUCCESS, more=False)
    run = await claimed(desk, me, thread_id)
    take = "update procrastinate_jobs set status = 'doing' where id in (select id from "
    take += "procrastinate_jobs where task_name = 'digest' and status = 'todo' "
    take += "for update skip locked) returning id"
    async with desk.pool.connection() as conn, conn.transaction():
        await Outbox(FOLLOWERS).add(conn, run, SUCCESS)
        async with desk.pool.connection() as worker:
            assert await fetch_all(worker, take, {}) == []
    async with desk.pool.connection() as worker:
        assert len(await fetch_all(worker, take, {})) == 1
    await desk.claims.finish(run, SUCCESS, more=False)  # and one that was taken counts no more
    assert [job["status"] for job in await jobs(desk.pool)][:2] == ["doing", "todo"]


async def test_a_run_whose_workers_all_died_is_followed_too(
    desk: Engine, me: Caller, thread_id: UUID
) -> None:
    outbox = Outbox(FOLLOWERS)
    dying = Claims(desk.pool, desk.jobs, desk.claims._fence, "dying", -1, outbox=outbox)
    await desk.runs.create(me, thread_id, RunRequest("work", input={}))
    for _ in range(3):
        assert await jobs(desk.pool) == []
        assert await dying.claim_on(thread_id)
        await dying.take_over(await dying.lost())
    _, each, failure = await jobs(desk.pool)
    assert (each["args"]["status"], failure["args"]["why"]["error"]) == ("error", "WorkerLost")


async def test_the_worker_does_what_follows_a_run(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller
) -> None:
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def tell(**args: Any) -> None:
        told.put_nowait(args)

    followers = {"tell": Follower(tell, graphs=frozenset({"work"}))}
    async with open_engine(settings, servers, migrated, GRAPHS, followers=followers) as engine:
        thread = await engine.threads.create(me)
        run = await engine.runs.create(me, thread.thread_id, RunRequest("work", input={}))
        async with asyncio.timeout(20):
            args = await told.get()
    assert (args["key"], args["status"]) == (f"{run.run_id}:tell", "success")
