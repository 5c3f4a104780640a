"""LangGraph checkpointers. A library of its own: it imports nothing of the other packages."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from importlib.resources import files
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from checkpoints.checkpointer import EPOCH
from checkpoints.errors import CheckpointError, Superseded
from checkpoints.expiry import Ttl
from checkpoints.savers import PostgresCheckpointer, RedisCheckpointer, TieredCheckpointer
from checkpoints.sealing import Cipher

__all__ = [
    "EPOCH",
    "CheckpointError",
    "Cipher",
    "PostgresCheckpointer",
    "RedisCheckpointer",
    "Superseded",
    "TieredCheckpointer",
    "Ttl",
]

_LOCK = 7_300_416

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


class PostgresSaver(AsyncPostgresSaver):
    """The official saver, and the deletion of single runs that it lacks."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        # A connection of the pool is ours alone while we hold it, so calls need not queue.
        self.lock = nullcontext()  # type: ignore[assignment]
        self._pool = pool
        self._sql = _statements("runs.sql")

    async def setup(self) -> None:
        """Make the tables, one process at a time.

        Tries for the lock instead of waiting for it: the official migrations build indexes
        concurrently, which wait for every transaction, waiters for a lock included.
        """
        async with self._pool.connection() as conn:
            while not await _locked(conn):  # noqa: ASYNC110 - held by another process
                await asyncio.sleep(0.05)
            try:
                await super().setup()
                await conn.execute(self._sql["index_runs"])
            finally:
                await conn.execute("select pg_advisory_unlock(%s)", (_LOCK,))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what these runs wrote; what they built on stays."""
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["delete_runs"], {"runs": list(run_ids)})


@asynccontextmanager
async def open_checkpointer(dsn: str, *, size: int = 10) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """A checkpointer on the PostgreSQL at `dsn`, with a pool of its own and its tables made."""
    kwargs: dict[str, Any] = {
        "autocommit": True,
        "prepare_threshold": None,
        "row_factory": dict_row,
    }
    async with AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        kwargs=kwargs,
        open=False,
        connection_class=AsyncConnection[DictRow],
    ) as pool:
        saver = PostgresSaver(pool)
        await saver.setup()
        yield saver


async def _locked(conn: AsyncConnection[DictRow]) -> bool:
    cursor = await conn.execute("select pg_try_advisory_lock(%s) as ours", (_LOCK,))
    row = await cursor.fetchone()
    return bool(row and row["ours"])


def _statements(name: str) -> Mapping[str, str]:
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
