import asyncio

import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from checkpoints.pooling import make_pool


async def test_a_caller_cancelled_as_its_connection_comes_gives_it_back(database_url: str) -> None:
    kind = AsyncConnection[TupleRow]
    pool = make_pool(database_url, size=1, kwargs={}, connection_class=kind)
    used = []

    async def use() -> None:
        async with pool.connection():
            used.append(True)

    async with pool:
        conn = await pool.getconn()
        waiting = asyncio.create_task(use())
        await asyncio.sleep(0.05)
        await pool.putconn(conn)  # to the one who waits, who has not heard of it yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not used
        await use()
    assert used


async def test_a_time_limit_holds_as_the_connection_comes(database_url: str) -> None:
    kind = AsyncConnection[TupleRow]
    async with make_pool(database_url, size=1, kwargs={}, connection_class=kind) as pool:
        conn = await pool.getconn()

        async def use() -> None:
            async with asyncio.timeout(None) as limit:
                limits.append(limit)
                await pool.getconn()

        limits: list[asyncio.Timeout] = []
        waiting = asyncio.create_task(use())
        await asyncio.sleep(0.05)
        await pool.putconn(conn)
        limits[0].reschedule(asyncio.get_running_loop().time())
        with pytest.raises(TimeoutError):
            await waiting
        async with pool.connection():
            pass
