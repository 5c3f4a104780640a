import asyncio

from engine.database import Pool
from engine.jobs import open_jobs


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
