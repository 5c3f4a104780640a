"""What an operator does about open outcomes and dead letters."""

from typing import Any

import pytest

from engine.database import Pool, fetch_all, migrate
from engine.effects import Call, Effects
from engine.errors import OutcomeUnknown
from engine.jobs import Pace, open_jobs
from engine.settings import Settings
from tests.server.test_cli import frontdesk
from tests.waiting import until


async def test_an_open_outcome_is_seen_and_settled(settings: Settings, pool: Pool) -> None:
    async def lost(key: str) -> Any:
        raise ConnectionResetError

    await migrate(pool, "engine")
    call = Call("shop", "t1", "r1", "c1", "pay", {"n": 1})
    with pytest.raises(OutcomeUnknown):
        await Effects(pool).remote(call, lost, honours_key=False)
    seen = await frontdesk(settings, "effects", "unknown")
    assert seen.stdout.startswith("t1 c1 pay {'n': 1} since ")
    assert seen.stdout.endswith("1 unknown\n")
    undecided = await frontdesk(settings, "effects", "settle", "t1", "c1")
    assert undecided.returncode != 0
    settled = await frontdesk(settings, "effects", "settle", "t1", "c1", "--happened")
    assert settled.stdout == "t1 c1: it happened\n"
    assert len(await Effects(pool).receipts("t1")) == 1
    again = await frontdesk(settings, "effects", "settle", "t1", "c1", "--did-not")
    assert again.returncode == 1
    assert "no effect t1:c1" in again.stderr


async def test_dead_letters_are_seen_and_replayed(
    settings: Settings, pool: Pool, database_url: str
) -> None:
    done: list[str] = []

    async def work(key: str) -> None:
        if key not in replayed:
            raise ConnectionError("nobody there")
        done.append(key)

    replayed: list[str] = []
    await migrate(pool, "engine")
    async with open_jobs(pool, database_url, {"work": work}, Pace(attempts=1, poll=0.1)) as jobs:
        async with pool.connection() as conn:
            for key in ("k1", "k2"):
                await jobs.defer(conn, "work", key=key)
        async with jobs.work(hints=0, background=1):
            await until(lambda: _two(jobs))
            seen = await frontdesk(settings, "jobs", "dead")
            first, second, total = seen.stdout.splitlines()
            assert first.endswith("ConnectionError: nobody there")
            assert " work k2 after 1 attempts at " in second
            assert total == "2 dead"
            replayed.append("k1")
            done_one = await frontdesk(settings, "jobs", "replay", first.split()[0])
            assert done_one.stdout == "1 to be tried again\n"
            await until(lambda: done == ["k1"])
            replayed.append("k2")
            await frontdesk(settings, "jobs", "replay", "--all")
            await until(lambda: done == ["k1", "k2"])
    async with pool.connection() as conn:
        assert await fetch_all(conn, "select * from procrastinate_jobs", {}) == []
    nothing = await frontdesk(settings, "jobs", "replay")
    assert nothing.returncode == 1
    assert "--all" in nothing.stderr


async def _two(jobs: Any) -> bool:
    return len(await jobs.dead()) == 2
