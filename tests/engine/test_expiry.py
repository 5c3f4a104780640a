"""Threads that have rested for as long as they were to stay."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from engine.caller import Caller
from engine.claims import Run
from engine.database import Pool
from engine.embedded import Servers
from engine.errors import NotFound
from engine.expiry import Expiry
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.threads import Ttl
from tests.fakes.graphs import GRAPHS

_LONG_AGO = "update frontdesk.threads set expires_at = now() - interval '1 second'"


@pytest.fixture
def expiry(engine: Engine) -> Expiry:
    return Expiry(engine.pool, engine.threads, engine.graphs.checkpointer)


async def _run(engine: Engine, me: Caller, thread_id: UUID, **given: object) -> Run:
    request = RunRequest("work", input={"mode": "done", **given})
    run = await engine.runs.create(me, thread_id, request)
    if given.get("mode") != "slow":
        async for _ in engine.watch.from_now(me, run):
            pass
    return run


async def test_what_has_expired_goes_as_it_was_to(
    engine: Engine, expiry: Expiry, me: Caller
) -> None:
    stays = await engine.threads.create(me)
    gone = await engine.threads.create(me, ttl=Ttl(5))
    kept = await engine.threads.create(me, ttl=Ttl(5, "keep_latest"))
    for thread in (stays, gone, kept):
        await _run(engine, me, thread.thread_id)
    head = await engine.states.get(me, kept.thread_id)
    assert await expiry.sweep() == 0
    async with engine.pool.connection() as conn:
        await conn.execute(_LONG_AGO + " where expires_at is not null")
    assert await expiry.sweep() == 2
    with pytest.raises(NotFound):
        await engine.threads.get(me, gone.thread_id)
    config = {"configurable": {"thread_id": str(gone.thread_id)}}
    assert await engine.graphs.checkpointer.aget_tuple(config) is None
    (state,) = await engine.states.history(me, kept.thread_id, limit=9)
    assert (state["checkpoint"], state["values"]) == (head["checkpoint"], head["values"])
    assert len(await engine.states.history(me, stays.thread_id, limit=9)) == 4
    assert await expiry.sweep() == 0
    await _run(engine, me, kept.thread_id)
    assert (await engine.threads.get(me, kept.thread_id)).expires_at is not None


async def test_a_thread_at_work_does_not_expire(engine: Engine, expiry: Expiry, me: Caller) -> None:
    threads = [await engine.threads.create(me, ttl=ttl) for ttl in (Ttl(5), Ttl(5, "keep_latest"))]
    for thread in threads:
        await _run(engine, me, thread.thread_id, mode="slow", secs=30)
    async with engine.pool.connection() as conn:
        await conn.execute(_LONG_AGO)
    assert await expiry.sweep() == 0
    for thread in threads:
        assert (await engine.threads.get(me, thread.thread_id)).status == "busy"


async def test_what_changes_while_it_is_swept_stays(
    engine: Engine, expiry: Expiry, me: Caller
) -> None:
    thread = await engine.threads.create(me, ttl=Ttl(5))
    assert thread.expires_at is not None
    await engine.threads.patch(me, thread.thread_id, {"a": 1})
    assert not await engine.threads.delete_expired(thread.thread_id, thread.expires_at)
    assert (await engine.threads.get(me, thread.thread_id)).metadata == {"a": 1}


@pytest.fixture
async def forgetful(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    """Where threads expire unless they say otherwise, almost at once, and are swept as often."""
    quick = {"thread_ttl_minutes": 0.01, "thread_sweep_minutes": 0.002}
    changed = settings.model_copy(update={**quick, "lease_seconds": 1.0, "drain_seconds": 0.0})
    async with open_engine(changed, servers, migrated, GRAPHS) as engine:
        yield engine


async def test_new_threads_expire_as_it_is_set_even_those_that_runs_make(
    forgetful: Engine, me: Caller
) -> None:
    engine = forgetful
    plain = await engine.threads.create(me)
    own = await engine.threads.create(me, ttl=Ttl(5))
    request = RunRequest("work", input={"mode": "done"}, create_thread=True)
    run = await engine.runs.create(me, None, request)
    assert (plain.ttl_minutes, plain.ttl_strategy) == (0.01, "delete")
    for thread_id in (plain.thread_id, run.thread_id):
        await _gone(engine, me, thread_id)
    assert (await engine.threads.get(me, own.thread_id)).ttl_minutes == 5


async def _gone(engine: Engine, me: Caller, thread_id: UUID) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await engine.threads.get(me, thread_id)
            except NotFound:
                return
            await asyncio.sleep(0.05)
