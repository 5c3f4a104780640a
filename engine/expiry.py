"""Threads that nobody has changed for as long as they were to stay."""

import asyncio
import logging
from typing import Any

from psycopg import OperationalError

from checkpoints.checkpointer import Checkpointer
from checkpoints.errors import CheckpointError
from engine.database import Pool, fetch_all, statements
from engine.settings import Settings
from engine.threads import Threads

log = logging.getLogger(__name__)

_BATCH = 100


class Expiry:
    """Deletes them, or all of their checkpoints but the latest: as each says."""

    def __init__(self, pool: Pool, threads: Threads, checkpointer: Checkpointer) -> None:
        self._pool = pool
        self._threads = threads
        self._checkpointer = checkpointer
        self._sql = statements("engine", "expiry.sql")

    async def begin(self, settings: Settings) -> None:
        """Write down what new threads get; old ones keep what they have."""
        args = {"minutes": settings.thread_ttl_minutes, "strategy": settings.thread_ttl_strategy}
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["default"], args)

    async def sweep(self) -> int:
        """Let go what has expired, except where runs wait or work. Returns how many threads."""
        done = 0
        while rows := await self._expired():
            for row in rows:
                done += await self._expire(row)
            if len(rows) < _BATCH:
                break
        return done

    async def sweep_for_ever(self, minutes: float) -> None:
        while True:
            await asyncio.sleep(minutes * 60)
            try:
                if done := await self.sweep():
                    log.info("%d threads have expired", done)
            except (OperationalError, CheckpointError) as error:
                log.warning("expired threads cannot be let go (%s)", error)

    async def _expired(self) -> list[dict[str, Any]]:
        async with self._pool.connection() as conn:
            return await fetch_all(conn, self._sql["expired"], {"limit": _BATCH})

    async def _expire(self, row: dict[str, Any]) -> bool:
        if row["ttl_strategy"] != "keep_latest":
            return await self._threads.delete_expired(row["thread_id"], row["expires_at"])
        await self._checkpointer.aprune([str(row["thread_id"])], strategy="keep_latest")
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["pruned"], row)
        return True
