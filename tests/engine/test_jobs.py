import asyncio
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from engine.database import Pool, fetch_all
from engine.errors import Permanent
from engine.jobs import DeadLetter, Jobs, Pace, open_jobs
from tests.waiting import until


async def test_a_job_exists_if_its_transaction_commits(pool: Pool, database_url: str) -> None:
    done: asyncio.Queue[str] = asyncio.Queue()

    async def note(text: str) -> None:
        done.put_nowait(text)

    async with open_jobs(pool, database_url, {"note": note}) as jobs:
        async with pool.connection() as conn:
            async with conn.transaction(force_rollback=True):
                await jobs.defer(conn, "note", text="rolled back")
            async with conn.transaction():
                await jobs.defer(conn, "note", text="committed")
        async with jobs.work(hints=0, background=2), asyncio.timeout(10):
            assert await done.get() == "committed"
        assert done.empty()


async def test_two_processes_may_open_the_same_database_at_once(
    pool: Pool, database_url: str
) -> None:
    async def once() -> None:
        async with open_jobs(pool, database_url, {}):
            pass

    await asyncio.gather(*(once() for _ in range(4)))


QUICK = Pace(attempts=3, first=0.05, silent=1.5, poll=0.1)


async def count(pool: Pool) -> int:
    async with pool.connection() as conn:
        [row] = await fetch_all(conn, "select count(*) from procrastinate_jobs", {})
    return int(row["count"])


async def deferred(pool: Pool, jobs: Jobs, name: str, **args: Any) -> None:
    async with pool.connection() as conn, conn.transaction():
        await jobs.defer(conn, name, **args)


async def test_a_job_that_fails_in_passing_is_tried_again_and_leaves_nothing(
    migrated: Pool, database_url: str
) -> None:
    tries: list[str] = []

    async def work(key: str) -> None:
        tries.append(key)
        if len(tries) < 3:
            raise ConnectionError("not yet")

    async with open_jobs(migrated, database_url, {"work": work}, QUICK) as jobs:
        await deferred(migrated, jobs, "work", key="k")
        async with jobs.work(hints=0, background=1):
            await until(lambda: len(tries) == 3)
            await until(lambda: _zero(migrated))
        assert await jobs.dead() == []
    assert tries == ["k", "k", "k"]


@pytest.mark.parametrize(("error", "attempts"), [(ValueError("no"), 3), (Permanent("no"), 1)])
async def test_what_failed_for_good_is_a_dead_letter_until_it_is_replayed(
    migrated: Pool, database_url: str, error: Exception, attempts: int
) -> None:
    tries: list[str] = []
    broken = True

    async def work(key: str) -> None:
        tries.append(key)
        if broken:
            raise error

    async with open_jobs(migrated, database_url, {"work": work}, QUICK) as jobs:
        for key in ("k1", "k2"):
            await deferred(migrated, jobs, "work", key=key)
        async with jobs.work(hints=0, background=1):
            first, second = await until(lambda: _pair(jobs))
            assert (first.kind, first.key, first.attempts) == ("work", "k1", attempts)
            assert first.error == f"{type(error).__name__}: no"
            assert first.at is not None
            broken = False
            assert await jobs.replay([second.id]) == [second.id]
            await until(lambda: tries[-1] == "k2" and len(tries) == 2 * attempts + 1)
            assert [letter.key for letter in await jobs.dead()] == ["k1"]
            assert await jobs.replay() == [first.id]
            await until(lambda: _zero(migrated))


async def test_a_job_that_stood_for_others_can_fail_beside_its_successor(
    migrated: Pool, database_url: str
) -> None:
    """Procrastinate would leave it `doing` for ever: two waiting jobs cannot have one lock."""
    tries: list[int] = []

    async def digest(number: int) -> None:
        tries.append(number)
        if tries == [1]:
            await insert(2)
            raise ConnectionError

    async def insert(number: int) -> None:
        sql = "insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args) values "
        sql += "('background', 'digest', 'digest:t', jsonb_build_object('number', %(n)s::int))"
        async with migrated.connection() as conn:
            await conn.execute(sql, {"n": number})

    async with open_jobs(migrated, database_url, {"digest": digest}, QUICK) as jobs:
        await insert(1)
        async with jobs.work(hints=0, background=1):
            await until(lambda: _zero(migrated))
    assert sorted(tries) == [1, 1, 2]


KILLED = """
import asyncio, sys
from engine.database import open_pool
from engine.jobs import Pace, open_jobs

async def work(key):
    print(key, flush=True)
    await asyncio.sleep(60)

async def main():
    async with open_pool(sys.argv[1], size=2) as pool:
        pace = Pace(silent=1.5, poll=0.1)
        async with open_jobs(pool, sys.argv[1], {"work": work}, pace) as jobs:
            async with jobs.work(hints=0, background=1):
                await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_the_job_of_a_killed_worker_is_done_by_another(
    migrated: Pool, database_url: str
) -> None:
    done: list[str] = []

    async def work(key: str) -> None:
        done.append(key)

    async with open_jobs(migrated, database_url, {"work": work}, QUICK) as jobs:
        await deferred(migrated, jobs, "work", key="k")
        command = [sys.executable, "-c", KILLED, database_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert await asyncio.to_thread(process.stdout.readline) == "k\n"
            process.send_signal(signal.SIGKILL)
        async with jobs.work(hints=0, background=1):
            await until(lambda: _zero(migrated))
    assert done == ["k"]


async def test_a_job_that_kills_its_workers_ends_as_a_dead_letter(
    migrated: Pool, database_url: str
) -> None:
    pace = replace(QUICK, attempts=1)

    async def unwanted(key: str) -> None:
        raise AssertionError

    async with open_jobs(migrated, database_url, {"work": unwanted}, pace) as jobs:
        await deferred(migrated, jobs, "work", key="k")
        async with migrated.connection() as conn:
            await conn.execute("update procrastinate_jobs set status = 'doing'")
        async with jobs.work(hints=0, background=1):
            [letter] = await until(jobs.dead)
    assert (letter.key, letter.attempts) == ("k", 1)
    assert letter.error.startswith("WorkerLost")


async def test_a_worker_that_lost_the_database_goes_on_when_it_is_back(
    migrated: Pool, database_url: str
) -> None:
    done: list[str] = []

    async def work(key: str) -> None:
        done.append(key)

    async with (
        open_jobs(migrated, database_url, {"work": work}, QUICK) as jobs,
        jobs.work(hints=1, background=1),
    ):
        await deferred(migrated, jobs, "work", key="before")
        await until(lambda: done == ["before"])
        async with migrated.connection() as conn:
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            async with conn.transaction():
                await jobs.defer(conn, "work", key="after")
        await until(lambda: "after" in done)


async def test_a_job_that_a_stop_cuts_off_is_left_for_another_worker(
    migrated: Pool, database_url: str
) -> None:
    began = asyncio.Event()

    async def work(key: str) -> None:
        began.set()
        await asyncio.sleep(60)

    pace = replace(QUICK, attempts=1, stop=0.1)
    async with open_jobs(migrated, database_url, {"work": work}, pace) as jobs:
        await deferred(migrated, jobs, "work", key="k")
        async with jobs.work(hints=0, background=1):
            await began.wait()
        async with migrated.connection() as conn:
            rows = await fetch_all(conn, "select status from procrastinate_jobs", {})
    assert [row["status"] for row in rows] == ["todo"]


async def _zero(pool: Pool) -> bool:
    return await count(pool) == 0


async def _pair(jobs: Jobs) -> list[DeadLetter]:
    letters = await jobs.dead()
    return letters if len(letters) == 2 else []
