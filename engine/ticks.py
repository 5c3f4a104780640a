"""Every worker asks for the runs of crons that are due. There is no leader, and nobody is needed.

A tick belongs to whoever takes it, for some seconds. Its run has an idempotency key of the cron and
the moment, so that a tick that is taken twice, because the first to take it died or was slow, still
makes one run.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from psycopg import DataError

from engine.caller import Caller
from engine.crons import Cron
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.errors import Busy, Forbidden, FrontdeskError, Unavailable
from engine.patience import AWAY
from engine.runs import Runs, key_of
from engine.serialise import column

log = logging.getLogger(__name__)

_SECONDS = 5.0  # a tick is taken for
_AT_ONCE = 8
_LATER = (Busy, Unavailable, TimeoutError, *AWAY)
"""Nothing is wrong with the cron: the tick is taken again."""


@dataclass(frozen=True)
class Tick:
    """A cron that was `due`, taken at `now` by PostgreSQL's clock, perhaps `again`."""

    cron: Cron
    due: datetime
    now: datetime
    again: bool

    @property
    def key(self) -> str:
        return f"cron:{self.cron.cron_id}:{self.due.isoformat()}"


class Ticks:
    """Those of all crons, whoever they belong to."""

    def __init__(self, pool: Pool, runs: Runs) -> None:
        self._pool = pool
        self._runs = runs
        self._sql = statements("engine", "crons.sql")

    async def fire_for_ever(self) -> None:
        """Just after every full second."""
        while True:
            await asyncio.sleep(1.01 - time.time() % 1)
            try:
                while await self.fire() == _AT_ONCE:
                    pass
            except AWAY as error:
                log.warning("due crons cannot be looked for (%s)", error)
            except Exception:
                log.exception("due crons were not looked for")

    async def fire(self) -> int:
        """Ask for the runs of some crons that are due; how many crons these were."""
        ticks = await self.take()
        for result in await asyncio.gather(*map(self._fire, ticks), return_exceptions=True):
            if result:
                log.error("a cron cannot go on", exc_info=result)
        return len(ticks)

    async def take(self) -> list[Tick]:
        async with self._pool.connection() as conn:
            args = {"limit": _AT_ONCE, "seconds": _SECONDS}
            rows = await fetch_all(conn, self._sql["take"], args)
        return [Tick(Cron.of(row), row["next_run_date"], row["now"], row["again"]) for row in rows]

    async def ask(self, tick: Tick) -> None:
        """Ask for the tick's run; not a second time for the same tick.

        Raises `Forbidden` when the key is gone that asked for the cron, and what `create` raises.
        """
        cron, caller = tick.cron, tick.cron.caller
        if not await self._is_known(caller):
            raise Forbidden("The key that made this cron was revoked, or has expired.")
        if tick.again and await self._was_asked(caller, tick):
            return
        request = replace(
            cron.run, cron_id=cron.cron_id, idempotency_key=tick.key, request_id=str(uuid4())
        )
        await self._runs.create(caller, cron.thread_id, request)

    async def advance(self, tick: Tick, error: Exception | None = None) -> None:
        """To the first moment that has not passed: what was missed meanwhile is one run."""
        cron, failure = tick.cron, None
        if error:
            failure = {"error": type(error).__name__, "message": str(error)}
            if failure != cron.last_error:
                log.warning("cron %s made no run: %s", cron.cron_id, error)
        args = {
            "cron_id": cron.cron_id,
            "due": tick.due,
            "next_run_date": cron.moments.next(max(tick.due, tick.now)),
            "last_error": column(failure),
        }
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["advance"], args)

    async def _fire(self, tick: Tick) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self.advance(tick, await self._refusal(tick))
        except _LATER as error:
            log.warning("cron %s has to wait (%s)", tick.cron.cron_id, error)

    async def _refusal(self, tick: Tick) -> Exception | None:
        try:
            await self.ask(tick)
        except _LATER:
            raise
        except (FrontdeskError, DataError) as error:
            return error
        return None

    async def _is_known(self, caller: Caller) -> bool:
        if caller.key_id is None:
            return True
        async with self._pool.connection() as conn:
            args = {"key_id": caller.key_id}
            return await fetch_one(conn, self._sql["key_opens"], args) is not None

    async def _was_asked(self, caller: Caller, tick: Tick) -> bool:
        """Whether the one who had the tick before came so far; the run may be gone by now."""
        async with self._pool.connection() as conn:
            args = {"owner": caller.identity, "key": key_of(caller, tick.key)}
            return await fetch_one(conn, self._sql["was_asked"], args) is not None
