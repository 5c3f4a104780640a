"""What waits for somebody: runs for a slot, effects for a colleague, dead jobs for an operator."""

import asyncio
import math
from collections.abc import Mapping

from psycopg import OperationalError
from psycopg.rows import DictRow

from engine.database import Pool, fetch_one, statements
from engine.jobs import BACKGROUND
from engine.metrics import Metrics

_KNOWN_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0  # whoever scrapes gives up too
_QUEUE = (
    "n_pending",
    "n_running",
    "pending_runs_wait_time_max_secs",
    "pending_runs_wait_time_med_secs",
)


class Backlog:
    """Counted when somebody asks, every few seconds at most, so that scraping costs nothing.

    `queue`: how many runs wait and work, and how long the waiting have waited, in seconds.
    """

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._sql = statements("engine", "backlog.sql")
        self._known_until = -math.inf
        self.queue: Mapping[str, float | None] = dict.fromkeys(_QUEUE)

    async def refresh(self) -> None:
        """Bring gauges and `queue` up to date.

        What PostgreSQL does not tell in time becomes NaN, or None.
        """
        stats = self._pool.get_stats()
        self._metrics.pool_size.set(stats.get("pool_size", 0))
        self._metrics.pool_free.set(stats.get("pool_available", 0))
        self._metrics.pool_waiting.set(stats.get("requests_waiting", 0))
        now = asyncio.get_running_loop().time()
        if now < self._known_until:
            return
        self._known_until = now + _KNOWN_SECONDS
        row = await self._count()
        for name, gauge in self._metrics.backlog.items():
            gauge.set(row[name] if row else math.nan)
        self.queue = {name: row[name] if row else None for name in _QUEUE}

    async def _count(self) -> DictRow | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS), self._pool.connection() as conn:
                return await fetch_one(conn, self._sql["backlog"], {"queue": BACKGROUND})
        except (OperationalError, TimeoutError):
            return None
