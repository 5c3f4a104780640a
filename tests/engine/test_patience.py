"""What failed because of a store, and not because of what was asked, is done again."""

import asyncio

from engine.database import Pool
from engine.patience import patiently


async def test_who_slept_in_a_transaction_until_it_was_cut_does_it_again(pool: Pool) -> None:
    sleeps = [0.3, 0.0]

    async def work() -> str:
        async with pool.connection() as conn, conn.transaction():
            await conn.execute("set local idle_in_transaction_session_timeout = '50ms'")
            await asyncio.sleep(sleeps.pop(0))
            await conn.execute("select 1")
        return "done"

    assert await patiently(work) == "done"
    assert not sleeps
