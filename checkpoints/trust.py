"""Whether copies in Redis may be believed, agreed on through Postgres.

Every reader knows for at most a second (`LEASE`) that copies may be believed. A writer that cannot
keep its copies up to date forbids it in Postgres, waits until all readers must have learned it,
and only then acknowledges what it commits. What was copied before is never believed again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from checkpoints.background import beside
from checkpoints.errors import Unavailable
from checkpoints.postgres import Pool, reaching
from checkpoints.schema import statements

LEASE = 1.0
_MARGIN = 0.2
_HOLD = 10.0
_UNUSED = 60.0


class Trust:
    """One process's view of the generation of copies that may be believed."""

    def __init__(self, pool: Pool, schema: str) -> None:
        self._pool = pool
        self._sql = statements("trust.sql", schema)
        self._clock = asyncio.get_running_loop().time
        self._generation: int | None = None
        self._asked = self._used = self._held_until = float("-inf")
        self._asking = asyncio.Lock()

    async def generation(self) -> int | None:
        """The generation to be believed; None: no copy may be. Raises `Unavailable`."""
        self._used = self._clock()
        if self._clock() - self._asked >= LEASE:
            await self._ask()
        return self._generation

    async def distrust(self) -> None:
        """Returns when no process believes any copy, for some seconds. Raises `Unavailable`."""
        if self._clock() < self._held_until:
            return
        asked = self._clock()
        async with reaching(), self._pool.connection() as conn:
            cursor = await conn.execute(self._sql["distrust"], {"seconds": _HOLD})
            row = await cursor.fetchone()
        since = float(row[0]) if row else 0.0
        await asyncio.sleep(max(0.0, LEASE + _MARGIN - since))
        self._generation, self._asked = None, asked
        self._held_until = asked + _HOLD / 2

    @asynccontextmanager
    async def outdated(self) -> AsyncIterator[None]:
        """What is written inside no copy follows: none from before it is believed after it."""
        await self._outdate()
        try:
            yield
        finally:
            with suppress(Unavailable):
                await self._outdate()

    async def _outdate(self) -> None:
        async with reaching(), self._pool.connection() as conn:
            await conn.execute(self._sql["outdate"], {})

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Ask ahead while copies are read, so that no read has to."""
        async with beside(self._ask_ahead(), "checkpoints trust"):
            yield

    async def _ask_ahead(self) -> None:
        while True:
            await asyncio.sleep(LEASE / 2)
            if self._clock() - self._used < _UNUSED:
                with suppress(Unavailable):
                    await self._ask()

    async def _ask(self) -> None:
        async with self._asking:
            asked = self._clock()
            if asked - self._asked < LEASE / 4:
                return
            async with reaching(), self._pool.connection() as conn:
                row = await (await conn.execute(self._sql["generation"], {})).fetchone()
            if row and asked > self._asked:
                generation, distrusted = row
                self._generation, self._asked = None if distrusted else generation, asked
