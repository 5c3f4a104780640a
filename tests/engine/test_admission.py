from typing import Any

import pytest

from engine.admission import Admission, Limits
from engine.caller import Caller
from engine.claims import Claims
from engine.database import Pool
from engine.embedded import Servers
from engine.errors import Busy, Unavailable
from engine.fence import Fence
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from tests.fakes.graphs import GRAPHS


@pytest.fixture
def desk(settings: Settings, servers: Servers, migrated: Pool) -> Any:
    """Opens an engine that takes requests and executes nothing."""

    def open_one(**changes: Any) -> Any:
        own = settings.model_copy(update={"role": "api", **changes})
        return open_engine(own, servers, migrated, GRAPHS)

    return open_one


async def ask(engine: Engine, caller: Caller, **asked: Any) -> None:
    thread = await engine.threads.create(caller)
    await engine.runs.create(caller, thread.thread_id, RunRequest("work", input={}, **asked))


async def test_no_more_runs_wait_than_may(desk: Any, me: Caller) -> None:
    async with desk(max_waiting=3) as engine:
        for _ in range(3):
            await ask(engine, me)
        with pytest.raises(Busy, match="Too many runs wait") as refused:
            await ask(engine, me)
        assert refused.value.retry_after > 0
        async with engine.pool.connection() as conn:
            cursor = await conn.execute("select count(*) as runs from frontdesk.runs")
            assert await cursor.fetchone() == {"runs": 3}


async def test_runs_that_are_not_due_take_no_place(desk: Any, me: Caller) -> None:
    async with desk(max_waiting=1) as engine:
        await ask(engine, me, after_seconds=60)
        await ask(engine, me)


async def test_one_tenant_does_not_take_the_places_of_another(desk: Any, me: Caller) -> None:
    other = Caller("other:trusted:1", "other", trusted=True)
    async with desk(max_waiting=10, tenant_max_waiting=2) as engine:
        for _ in range(2):
            await ask(engine, me)
        with pytest.raises(Busy, match="this tenant"):
            await ask(engine, me)
        await ask(engine, other)


async def test_another_process_counts_what_waits(desk: Any, me: Caller) -> None:
    async with desk(max_waiting=2) as first, desk(max_waiting=2) as second:
        await ask(first, me)
        await ask(first, me)
        with pytest.raises(Busy):
            await ask(second, me)


async def test_a_late_event_loop_takes_no_runs(migrated: Pool) -> None:
    late = 0.0
    claims = Claims(migrated, None, Fence(None), "worker", 1.0)  # type: ignore[arg-type]
    admission = Admission(claims, Limits(10, None, 0.5), lambda: late)
    admission.work()
    late = 2.0
    with pytest.raises(Unavailable, match="overloaded") as refused:
        admission.work()
    assert refused.value.retry_after > 2
