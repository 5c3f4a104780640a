from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from engine.caller import Caller
from engine.claims import Ending, Run
from engine.database import Pool, fetch_all
from engine.embedded import Servers
from engine.runs import RunRequest
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from engine.snapshots import Settled
from engine.summaries import Digest, Summaries
from tests.fakes.graphs import GRAPHS


def counted(values: Mapping[str, Any]) -> Digest | None:
    steps = values.get("steps", [])
    return Digest(None, "open", len(steps), " ".join(steps)) if steps else None


@pytest.fixture
def summaries(migrated: Pool) -> Summaries:
    return Summaries(migrated, counted, next_job="tell")


@pytest.fixture
async def desk(
    settings: Settings, servers: Servers, migrated: Pool, summaries: Summaries
) -> AsyncIterator[Engine]:
    """An engine that takes requests and executes nothing."""
    quiet = settings.model_copy(update={"role": "api"})
    followers = {"summary": summaries.follower(frozenset({"work"}), 30)}
    async with open_engine(quiet, servers, migrated, GRAPHS, followers=followers) as engine:
        yield engine


@pytest.fixture
async def thread_id(desk: Engine, me: Caller) -> UUID:
    return (await desk.threads.create(me)).thread_id


async def begun(desk: Engine, me: Caller, thread_id: UUID) -> Run:
    await desk.runs.create(me, thread_id, RunRequest("work", input={}))
    run = await desk.claims.claim_on(thread_id)
    assert run
    return run


async def ended(desk: Engine, run: Run, *steps: str) -> None:
    state = Settled("idle", {"steps": list(steps)}, {})
    await desk.claims.finish(run, Ending("success", "idle", state), more=False)


async def jobs(pool: Pool, name: str) -> list[dict[str, Any]]:
    async with pool.connection() as conn:
        sql = "select args from procrastinate_jobs where task_name = %(name)s order by id"
        return [row["args"] for row in await fetch_all(conn, sql, {"name": name})]


async def test_runs_in_a_row_make_one_summary_of_how_the_thread_is_now(
    desk: Engine, me: Caller, summaries: Summaries, thread_id: UUID
) -> None:
    for steps in (["a"], ["a", "b"], ["a", "b", "c"]):
        await ended(desk, await begun(desk, me, thread_id), *steps)
    [job] = await jobs(desk.pool, "summary")
    await summaries.refresh(**job)
    kept = await summaries.get(thread_id)
    assert kept
    assert (kept.turns, kept.text, kept.tenant) == (3, "a b c", "acme")
    assert [told["thread_id"] for told in await jobs(desk.pool, "tell")] == [str(thread_id)]


async def test_an_older_reading_never_replaces_a_newer_one(
    desk: Engine, me: Caller, summaries: Summaries, thread_id: UUID
) -> None:
    await ended(desk, await begun(desk, me, thread_id), "a")
    await summaries.refresh(thread_id=str(thread_id))
    old = await summaries.get(thread_id)
    assert old
    second = await begun(desk, me, thread_id)
    await summaries.refresh(thread_id=str(thread_id))  # while a run works: still what was
    during = await summaries.get(thread_id)
    assert during
    await ended(desk, second, "a", "b")
    await summaries.refresh(thread_id=str(thread_id))
    new = await summaries.get(thread_id)
    assert new
    assert old.version <= during.version < new.version
    assert (old.text, during.text, new.text) == ("a", "a", "a b")
    told = len(await jobs(desk.pool, "tell"))
    async with desk.pool.connection() as conn:
        for late in (old, during):
            assert not await summaries.keep(conn, late)
    assert await summaries.get(thread_id) == new
    assert len(await jobs(desk.pool, "tell")) == told


async def test_a_thread_that_is_gone_or_silent_has_no_summary(
    desk: Engine, me: Caller, summaries: Summaries, thread_id: UUID
) -> None:
    await ended(desk, await begun(desk, me, thread_id))
    await summaries.refresh(thread_id=str(thread_id))
    assert await summaries.get(thread_id) is None
    await ended(desk, await begun(desk, me, thread_id), "a")
    await summaries.refresh(thread_id=str(thread_id))
    assert await summaries.get(thread_id)
    await desk.threads.delete(me, thread_id)
    assert await summaries.get(thread_id) is None
    await summaries.refresh(thread_id=str(thread_id))
