"""Servers that a process opens for itself."""

import pytest

from engine.database import Pool


@pytest.mark.parametrize("n", range(3))
async def test_a_test_has_a_database_of_its_own(pool: Pool, n: int) -> None:
    async with pool.connection() as conn:
        await conn.execute("create table t (v vector(3))")


async def test_redis(redis) -> None:
    assert await redis.ping()
