"""What waits for somebody: runs for a slot, effects for a colleague, dead jobs for an operator."""

import asyncio
import math

from engine.database import Pool, fetch_one, statements
from engine.jobs import BACKGROUND
from engine.metrics import Metrics

_KNOWN_SECONDS = 5.0


class Backlog:
    """Counted when somebody asks, every few seconds at most, so that scraping costs nothing."""

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        self._sql = statements("engine", "backlog.sql")
        self._known_until = -math.inf

    async def refresh(self) -> None:
        """Bring the gauges up to date."""
        now = asyncio.get_running_loop().time()
        if now < self._known_until:
            return
        self._known_until = now + _KNOWN_SECONDS
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql["backlog"], {"queue": BACKGROUND})
        for name, gauge in self._metrics.backlog.items():
            gauge.set(row[name] if row else 0)
        stats = self._pool.get_stats()
        self._metrics.pool_size.set(stats.get("pool_size", 0))
        self._metrics.pool_free.set(stats.get("pool_available", 0))
        self._metrics.pool_waiting.set(stats.get("requests_waiting", 0))
