import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from engine.caller import Caller
from engine.claims import Claims
from engine.crons import Cron, CronQuery, CronRequest
from engine.database import Pool
from engine.embedded import Servers
from engine.errors import Forbidden, Invalid, NotFound
from engine.fence import Fence
from engine.keys import ApiKeys
from engine.pages import Page
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.schedule import Schedule
from engine.serialise import loads
from engine.settings import Settings
from engine.ticks import Ticks
from tests.fakes.graphs import GRAPHS

EVERY_SECOND = Schedule("* * * * * *")


@pytest.fixture
async def idle(settings: Settings, servers: Servers, migrated: Pool) -> AsyncIterator[Engine]:
    """An engine that takes requests and leaves runs and crons to others."""
    quick = settings.model_copy(update={"role": "api"})
    async with open_engine(quick, servers, migrated, GRAPHS) as engine:
        yield engine


def asking(schedule: Schedule, run: RunRequest | None = None) -> CronRequest:
    run = run or RunRequest("work", input={}, create_thread=True)
    return CronRequest(schedule, run, payload={}, metadata={})


def to(asked: CronRequest) -> Callable[[Cron], Awaitable[CronRequest]]:
    """A change to this, whatever it was."""

    async def change(_: Cron) -> CronRequest:
        return asked

    return change


async def due(engine: Engine, cron: Cron, ago: timedelta = timedelta(seconds=1)) -> datetime:
    """Let it be due since so long ago."""
    at = datetime.now(UTC).replace(microsecond=0) - ago
    async with engine.pool.connection() as conn:
        sql = "update frontdesk.crons set next_run_date = %s, taken_until = null where cron_id = %s"
        await conn.execute(sql, (at, cron.cron_id))
    return at


async def let_go(engine: Engine) -> None:
    """As if the time had passed for which ticks are taken."""
    async with engine.pool.connection() as conn:
        await conn.execute("update frontdesk.crons set taken_until = now() - interval '1 second'")


async def made(engine: Engine, cron: Cron) -> list[UUID]:
    """The runs of the cron that there are."""
    async with engine.pool.connection() as conn:
        rows = await conn.execute(
            "select run_id from frontdesk.runs "
            "where kwargs->'config'->'configurable'->>'cron_id' = %s order by seq",
            (str(cron.cron_id),),
        )
        return [row["run_id"] async for row in rows]


async def test_two_processes_make_one_run_of_every_tick(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller
) -> None:
    quick = settings.model_copy(update={"lease_seconds": 1.0, "drain_seconds": 0.0})
    async with AsyncExitStack() as stack:
        engine, _ = [
            await stack.enter_async_context(open_engine(quick, servers, migrated, GRAPHS))
            for _ in range(2)
        ]
        began = datetime.now(UTC)
        cron = await engine.crons.create(me, None, asking(EVERY_SECOND))
        async with asyncio.timeout(30):
            while len(await made(engine, cron)) < 3:
                await asyncio.sleep(0.1)
        await engine.crons.delete(me, cron.cron_id)
        async with migrated.connection() as conn:
            sql = "select key, run_id, r.run_id is not null as made from frontdesk.idempotency "
            rows = await conn.execute(sql + "full join frontdesk.runs r using (run_id)")
            asked = await rows.fetchall()
    assert len(asked) >= 3
    assert all(row["key"] and row["made"] for row in asked)
    keys = [loads(row["key"])[1].removeprefix(f"cron:{cron.cron_id}:") for row in asked]
    moments = [datetime.fromisoformat(key) for key in keys]
    assert all(at.microsecond == 0 and at > began for at in moments)


async def test_a_tick_whose_process_died_makes_no_second_run(idle: Engine, me: Caller) -> None:
    cron = await idle.crons.create(me, None, asking(Schedule("@daily")))
    await due(idle, cron)
    first, second = Ticks(idle.pool, idle.runs), Ticks(idle.pool, idle.runs)
    [tick] = await first.take()
    assert await second.take() == []
    await first.ask(tick)  # and dies before it says so
    [run] = await made(idle, cron)
    await let_go(idle)
    assert await second.fire() == 1
    assert await made(idle, cron) == [run]
    assert (await idle.crons.get(me, cron.cron_id)).last_error is None
    assert await second.fire() == 0

    await due(idle, cron, timedelta(seconds=10))
    [tick] = await first.take()
    await first.ask(tick)
    await idle.runs.cancel(me, (await _thread(idle, cron, run)), run)
    await let_go(idle)
    await second.fire()
    await first.advance(tick)  # it was only slow
    assert len(await made(idle, cron)) == 2
    found = await idle.crons.get(me, cron.cron_id)
    assert found.next_run_date is not None
    assert found.next_run_date > tick.now


async def test_a_tick_is_remembered_until_somebody_came_to_its_end(
    idle: Engine, me: Caller
) -> None:
    cron = await idle.crons.create(me, None, asking(Schedule("@daily")))
    await due(idle, cron)
    [tick] = await Ticks(idle.pool, idle.runs).take()
    await Ticks(idle.pool, idle.runs).ask(tick)  # and everybody is gone for two days
    async with idle.pool.connection() as conn:
        past = "update frontdesk.idempotency set created_at = now() - interval '2 days'"
        await conn.execute(past)
    await let_go(idle)
    claims = Claims(idle.pool, idle.jobs, Fence("checkpoints"), "back", 60)
    await claims.forget_keys()
    await Ticks(idle.pool, idle.runs).fire()
    assert len(await made(idle, cron)) == 1
    await claims.forget_keys()
    async with idle.pool.connection() as conn:
        left = await (await conn.execute("select key from frontdesk.idempotency")).fetchall()
    assert left == []


async def _thread(engine: Engine, cron: Cron, run: UUID) -> UUID:
    async with engine.pool.connection() as conn:
        sql = "select thread_id from frontdesk.runs where run_id = %s"
        row = await (await conn.execute(sql, (run,))).fetchone()
    assert row
    return UUID(str(row["thread_id"]))


async def test_what_was_missed_is_one_run(idle: Engine, me: Caller) -> None:
    cron = await idle.crons.create(me, None, asking(EVERY_SECOND))
    await due(idle, cron, timedelta(hours=1))
    before = datetime.now(UTC)
    await Ticks(idle.pool, idle.runs).fire()
    assert len(await made(idle, cron)) == 1
    found = await idle.crons.get(me, cron.cron_id)
    assert found.next_run_date is not None
    assert found.next_run_date > before


async def test_a_paused_cron_is_silent_and_misses_nothing_when_it_goes_on(
    idle: Engine, me: Caller
) -> None:
    ticks = Ticks(idle.pool, idle.runs)
    cron = await idle.crons.create(me, None, asking(EVERY_SECOND))
    await idle.crons.update(me, cron.cron_id, to(replace(asking(EVERY_SECOND), enabled=False)))
    await due(idle, cron, timedelta(hours=1))
    assert await ticks.fire() == 0
    before = datetime.now(UTC)
    found = await idle.crons.update(me, cron.cron_id, to(asking(EVERY_SECOND)))
    assert found.next_run_date is not None
    assert found.next_run_date > before


async def test_a_change_does_not_take_a_tick_that_is_due_away(idle: Engine, me: Caller) -> None:
    cron = await idle.crons.create(me, None, asking(EVERY_SECOND))
    at = await due(idle, cron)
    other = replace(asking(EVERY_SECOND), metadata={"a": 1})
    assert (await idle.crons.update(me, cron.cron_id, to(other))).next_run_date == at
    daily = await idle.crons.update(me, cron.cron_id, to(asking(Schedule("@daily"))))
    assert daily.next_run_date is not None
    assert daily.next_run_date > at


async def test_the_last_run_is_before_the_end(idle: Engine, me: Caller) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    cron = await idle.crons.create(me, None, asking(replace(EVERY_SECOND, end=end)))
    assert cron.next_run_date is not None
    past = replace(EVERY_SECOND, end=datetime.now(UTC) - timedelta(hours=1))
    over = await idle.crons.create(me, None, asking(past))
    assert over.next_run_date is None
    await due(idle, cron)
    changed = await idle.crons.update(me, cron.cron_id, to(asking(past)))
    assert changed.next_run_date is None
    assert await Ticks(idle.pool, idle.runs).fire() == 0


async def test_a_cron_that_cannot_run_says_why_and_keeps_nobody_waiting(
    idle: Engine, me: Caller
) -> None:
    ticks = Ticks(idle.pool, idle.runs)
    thread = await idle.threads.create(me)
    reject = RunRequest("work", input={}, multitask_strategy="reject")
    busy = await idle.crons.create(me, thread.thread_id, asking(EVERY_SECOND, reject))
    fine = await idle.crons.create(me, None, asking(EVERY_SECOND))
    lost = await idle.crons.create(me, None, asking(EVERY_SECOND))
    async with idle.pool.connection() as conn:
        sql = "update frontdesk.crons set request = %s::json where cron_id = %s"
        await conn.execute(sql, (f'{{"assistant_id": "{uuid4()}"}}', lost.cron_id))
    await idle.runs.create(me, thread.thread_id, RunRequest("work", input={}))
    for cron in (busy, lost, fine):
        await due(idle, cron)
    before = datetime.now(UTC)
    assert await ticks.fire() == 3
    assert len(await made(idle, fine)) == 1
    errors = [(await idle.crons.get(me, cron.cron_id)).last_error for cron in (busy, lost, fine)]
    assert [error and error["error"] for error in errors] == ["Conflict", "NotFound", None]
    assert [await made(idle, cron) for cron in (busy, lost)] == [[], []]
    found = await idle.crons.get(me, lost.cron_id)
    assert found.next_run_date is not None
    assert found.next_run_date > before


async def test_a_cron_goes_with_its_thread(idle: Engine, me: Caller) -> None:
    thread = await idle.threads.create(me)
    run = RunRequest("work", input={})
    cron = await idle.crons.create(me, thread.thread_id, asking(EVERY_SECOND, run))
    await due(idle, cron)
    [tick] = await Ticks(idle.pool, idle.runs).take()
    await idle.threads.delete(me, thread.thread_id)
    with pytest.raises(NotFound):
        await idle.crons.get(me, cron.cron_id)
    with pytest.raises(NotFound):
        await Ticks(idle.pool, idle.runs).ask(tick)


async def test_its_runs_are_those_of_who_made_it(idle: Engine, me: Caller) -> None:
    user = Caller("ann", "acme", trusted=False, alone=True, customer_id="c1", permissions=("x",))
    cron = await idle.crons.create(user, None, asking(EVERY_SECOND))
    await idle.crons.update(me, cron.cron_id, to(asking(EVERY_SECOND)))
    await due(idle, cron)
    await Ticks(idle.pool, idle.runs).fire()
    [run_id] = await made(idle, cron)
    run = await idle.runs.get(user, None, run_id)
    configurable = run.kwargs["config"]["configurable"]
    assert configurable["langgraph_auth_user"] == user.as_user()
    assert configurable["cron_id"] == str(cron.cron_id)


async def test_the_crons_of_a_key_end_with_it(idle: Engine) -> None:
    keys = ApiKeys(idle.pool)
    gone, stays, expires = [(await keys.create(name, days=1))[0] for name in ("a", "b", "c")]
    hourly = asking(Schedule("@hourly"))
    crons = [await idle.crons.create(key.caller(), None, hourly) for key in (gone, stays, expires)]
    await keys.revoke(gone.key_id)
    async with idle.pool.connection() as conn:
        sql = "update frontdesk.keys set expires_at = now() where key_id = %s"
        await conn.execute(sql, (expires.key_id,))
    for cron in crons:
        await due(idle, cron)
    assert await Ticks(idle.pool, idle.runs).fire() == 3
    assert [len(await made(idle, cron)) for cron in crons] == [0, 1, 0]
    told = (await idle.crons.get(gone.caller(), crons[0].cron_id)).last_error
    assert told == {
        "error": "Forbidden",
        "message": "The key that made this cron was revoked, or has expired.",
    }


async def test_nobody_sees_the_crons_of_others(idle: Engine, me: Caller) -> None:
    ann, bob = (Caller(name, "acme", trusted=False, alone=True) for name in ("ann", "bob"))
    other = Caller("them", "other", trusted=True)
    cron = await idle.crons.create(ann, None, asking(EVERY_SECOND))
    for stranger in (bob, other):
        with pytest.raises(NotFound):
            await idle.crons.get(stranger, cron.cron_id)
        with pytest.raises(NotFound, match=f"Cron '{cron.cron_id}' not found"):
            await idle.crons.update(stranger, cron.cron_id, to(asking(EVERY_SECOND)))
        with pytest.raises(NotFound):
            await idle.crons.delete(stranger, cron.cron_id)
        assert await idle.crons.search(stranger, CronQuery(), Page()) == []
        assert await idle.crons.count(stranger, CronQuery()) == 0
    for owner in (ann, me):
        assert await idle.crons.count(owner, CronQuery()) == 1
    thread = await idle.threads.create(ann)
    with pytest.raises(NotFound, match="Please verify the ID"):
        await idle.crons.create(bob, thread.thread_id, asking(EVERY_SECOND))
    public = Caller("acme:public:1", "acme", trusted=False)
    with pytest.raises(Forbidden):
        await idle.crons.create(public, None, asking(EVERY_SECOND))
    with pytest.raises(Forbidden):
        await idle.crons.search(public, CronQuery(), Page())


async def test_what_no_run_can_be_asked_for_is_no_cron(idle: Engine, me: Caller) -> None:
    with pytest.raises(NotFound, match=r"^Assistant 'nope' not found$"):
        await idle.crons.create(me, None, asking(EVERY_SECOND, RunRequest("nope")))
    wrong = RunRequest("work", context={"pace": "fast"})
    with pytest.raises(Invalid, match="pace"):
        await idle.crons.create(me, None, asking(EVERY_SECOND, wrong))
