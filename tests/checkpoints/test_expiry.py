"""Idle threads go, or shrink; threads in use stay."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import psycopg
import pytest

from checkpoints import PostgresCheckpointer, Ttl
from tests.checkpoints.threads import Thread


@pytest.fixture
def schema() -> str:
    return f"expiry{uuid4().hex[:8]}"


async def _aged(dsn: str, schema: str, thread: Thread) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(
            f"update {schema}.threads set touched = touched - interval '1 hour'"  # noqa: S608
            " where thread_id = %s",
            [thread.thread_id],
        )


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("strategy", "left"), [("delete", 0), ("keep_latest", 1)])
async def test_an_idle_thread_goes_or_shrinks_and_one_in_use_stays(
    postgres_dsn: str, schema: str, strategy: str, left: int
) -> None:
    ttl = Ttl(idle=1800, strategy=strategy, every=0.1)
    async with PostgresCheckpointer.open(postgres_dsn, schema=schema, ttl=ttl) as saver:
        idle, used = Thread(saver), Thread(saver)
        for n in range(3):
            await idle.put({"items": list(range(n))})
            await used.put({"items": list(range(n))})
        await _aged(postgres_dsn, schema, idle)

        async def swept() -> bool:
            return len(await idle.history()) == left

        await _until(swept)
        assert len(await used.history()) == 3
        await idle.put({"items": [7]})
        assert await idle.values() == {"items": [7]}


def test_another_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="delete or keep_latest"):
        Ttl(1, strategy="forget")
