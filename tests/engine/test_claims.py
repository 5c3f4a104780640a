import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from engine.caller import Caller
from engine.claims import CancelRequested, Claims, Ending, Run, Superseded
from engine.database import Pool
from engine.embedded import Servers
from engine.fence import Fence
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.snapshots import Settled
from tests.fakes.graphs import GRAPHS

FENCE = Fence("checkpoints")
SUCCESS = Ending("success", "idle", Settled("idle", {"steps": []}, {}))
STOPPED = Ending("interrupted", "interrupted", Settled("interrupted", {}, {}))


@pytest.fixture
async def desk(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    """An engine that takes requests and executes nothing."""
    quiet = settings.model_copy(update={"role": "api"})
    async with open_engine(quiet, servers, migrated, GRAPHS) as engine:
        yield engine


@pytest.fixture
def worker(desk: Engine) -> Claims:
    return Claims(desk.pool, desk.jobs, FENCE, "worker", 60)


@pytest.fixture
def other(desk: Engine) -> Claims:
    return Claims(desk.pool, desk.jobs, FENCE, "other", 60)


@pytest.fixture
def dying(desk: Engine) -> Claims:
    """A worker whose leases have run out when they begin."""
    return Claims(desk.pool, desk.jobs, FENCE, "dying", -1)


@pytest.fixture
async def thread_id(desk: Engine, me: Caller) -> UUID:
    return (await desk.threads.create(me)).thread_id


async def ask(desk: Engine, me: Caller, thread_id: UUID, **how: Any) -> Run:
    return await desk.runs.create(me, thread_id, RunRequest("work", input={}, **how))


async def claimed(claims: Claims, thread_id: UUID) -> Run:
    run = await claims.claim_on(thread_id)
    assert run is not None
    return run


async def test_runs_are_claimed_oldest_first_and_one_at_a_time(
    desk: Engine, me: Caller, worker: Claims, other: Claims, thread_id: UUID
) -> None:
    first, second = await ask(desk, me, thread_id), await ask(desk, me, thread_id)
    run = await claimed(worker, thread_id)
    assert (run.run_id, run.status, run.attempt, run.epoch) == (first.run_id, "running", 1, 1)
    assert await other.claim_on(thread_id) is None
    assert await other.waiting(10) == []
    following = await worker.finish(run, SUCCESS, more=True)
    assert following is not None
    assert (following.run_id, following.epoch) == (second.run_id, 2)
    assert (await desk.threads.get(me, thread_id)).status == "busy"
    assert await worker.finish(following, SUCCESS, more=True) is None
    thread = await desk.threads.get(me, thread_id)
    assert (thread.status, thread.values, thread.interrupts) == ("idle", {"steps": []}, {})


async def test_of_many_who_claim_at_once_one_wins(
    desk: Engine, me: Caller, worker: Claims, other: Claims, thread_id: UUID
) -> None:
    for _ in range(3):
        await ask(desk, me, thread_id)
    rush = await asyncio.gather(
        *(claims.claim_on(thread_id) for claims in (worker, other) for _ in range(10))
    )
    assert len([run for run in rush if run]) == 1


async def test_a_run_that_is_not_due_waits(
    desk: Engine, me: Caller, worker: Claims, thread_id: UUID
) -> None:
    await ask(desk, me, thread_id, after_seconds=60)
    assert await worker.claim_on(thread_id) is None
    assert await worker.waiting(10) == []


async def test_a_dead_workers_run_is_taken_over_in_its_place(
    desk: Engine, me: Caller, worker: Claims, dying: Claims, thread_id: UUID
) -> None:
    await ask(desk, me, thread_id)
    await ask(desk, me, thread_id)
    lost = await claimed(dying, thread_id)
    assert await worker.take_over(await worker.lost()) == [thread_id]
    assert await worker.waiting(10) == [thread_id]
    run = await claimed(worker, thread_id)
    assert (run.run_id, run.attempt, run.epoch) == (lost.run_id, 2, 3)
    with pytest.raises(Superseded):
        await dying.finish(lost, SUCCESS, more=True)
    with pytest.raises(Superseded):
        await dying.finish(lost, SUCCESS, more=True, erased=True)
    await dying.hand_over(lost)
    seen = await desk.runs.get(me, thread_id, run.run_id)
    assert (seen.status, seen.epoch) == ("running", 3)


async def test_what_has_begun_goes_on_before_what_has_become_due(
    desk: Engine, me: Caller, worker: Claims, dying: Claims, thread_id: UUID
) -> None:
    delayed = await ask(desk, me, thread_id, after_seconds=60)
    begun = await ask(desk, me, thread_id)
    assert (await claimed(dying, thread_id)).run_id == begun.run_id
    async with desk.pool.connection() as conn:
        due = "update frontdesk.runs set after = now() where run_id = %s"
        await conn.execute(due, (delayed.run_id,))
    assert await worker.take_over(await worker.lost()) == [thread_id]
    run = await claimed(worker, thread_id)
    assert run.run_id == begun.run_id
    following = await worker.finish(run, SUCCESS, more=True)
    assert following is not None
    assert following.run_id == delayed.run_id


async def test_a_run_that_kills_three_workers_is_given_up(
    desk: Engine, me: Caller, worker: Claims, dying: Claims, thread_id: UUID
) -> None:
    run = await ask(desk, me, thread_id)
    for _ in range(3):
        await claimed(dying, thread_id)
        await worker.take_over(await worker.lost())
    seen = await desk.runs.get(me, thread_id, run.run_id)
    assert (seen.status, seen.error and seen.error["error"]) == ("error", "WorkerLost")
    thread = await desk.threads.get(me, thread_id)
    assert (thread.status, thread.error["error"]) == ("error", "WorkerLost")
    assert b"WorkerLost" in await desk.watch.result(me, thread_id, run.run_id)


async def test_the_thread_of_a_stateless_run_whose_worker_died_goes_a_minute_after_it(
    desk: Engine, me: Caller, worker: Claims, dying: Claims
) -> None:
    run = await desk.runs.create(
        me, None, RunRequest("work", {}, create_thread=True, temporary=True)
    )
    await claimed(dying, run.thread_id)
    await worker.take_over(await worker.lost())
    again = await claimed(worker, run.thread_id)
    await worker.finish(again, SUCCESS, more=False)
    assert not await worker.is_gone(again)
    thread = await desk.threads.get(me, run.thread_id)
    assert (thread.ttl_minutes, thread.ttl_strategy) == (1, "delete")


async def test_handing_over_is_no_crash_and_tells_the_others(
    desk: Engine, me: Caller, worker: Claims, other: Claims, thread_id: UUID
) -> None:
    await ask(desk, me, thread_id)
    async with desk.pool.connection() as conn:
        await conn.execute("delete from procrastinate_jobs")
    for _ in range(4):
        await worker.hand_over(await claimed(worker, thread_id))
    run = await claimed(other, thread_id)
    assert run.attempt == 5
    async with desk.pool.connection() as conn:
        cursor = await conn.execute("select args from procrastinate_jobs")
        hints = await cursor.fetchall()
    assert hints == [{"args": {"thread_id": str(thread_id)}}] * 4


async def test_a_run_that_was_told_to_stop_cannot_succeed(
    desk: Engine, me: Caller, worker: Claims, thread_id: UUID
) -> None:
    await ask(desk, me, thread_id)
    run = await claimed(worker, thread_id)
    await desk.runs.cancel(me, thread_id, run.run_id)
    assert (await desk.runs.get(me, thread_id, run.run_id)).seen_status == "interrupted"
    with pytest.raises(CancelRequested) as request:
        await worker.finish(run, SUCCESS, more=True)
    assert request.value.action == "interrupt"
    await worker.finish(run, STOPPED, more=True)
    assert (await desk.threads.get(me, thread_id)).status == "interrupted"
