"""A thread's protocol events as they come, for as long as anybody listens."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from engine.caller import Caller
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.events import Events
from engine.following import START, Event, Follower
from engine.patience import AWAY
from engine.protocol.translate import Origin, Told, Translator

SILENCE_SECONDS = 2.3
"""After so long without an event an empty batch says so."""

_LOOK_SECONDS = 4.5  # between looks at rows while nobody says that they have changed
_AT_ONCE = 100  # events
_AGAIN_SECONDS = 0.05  # between looks for a thread that is not there yet
_END_SECONDS = 1.0  # what a run that is over may still have on its way


class ThreadStreams:
    """Reads threads from their beginning."""

    def __init__(self, pool: Pool, events: Events) -> None:
        self._pool = pool
        self._events = events
        self._sql = statements("engine.protocol", "protocol.sql")

    async def follow(self, caller: Caller, thread_id: UUID) -> AsyncGenerator[Sequence[Told]]:
        """Everything the thread tells, from its first event on, in batches.

        An empty batch says that there is no more now, first when the past has been read and then
        every few seconds. A thread that the caller cannot see is silent until it can; the stream
        ends when the thread is deleted or this process stops.
        """
        async for silence in self._until_seen(caller, thread_id):
            yield silence
        translator = Translator()
        async with self._events.follow(thread_id, START) as follower:
            clock = asyncio.get_running_loop().time
            seconds, looked = 0.0, 0.0
            while not follower.closed:
                asked = clock()
                if batch := await follower.next(seconds):
                    async for told in self._translated(translator, batch):
                        yield told
                    continue
                lost: Sequence[Told] = ()
                if clock() - asked < seconds or clock() - looked >= _LOOK_SECONDS:
                    if not await self.sees(caller, thread_id):
                        return
                    if seconds == 0.0 and not translator.seq:
                        lost = await self._left(translator, thread_id)
                    lost = lost or await self._lost_ends(translator, follower)
                    looked = clock()
                yield lost
                seconds = SILENCE_SECONDS

    async def sees(self, caller: Caller, thread_id: UUID) -> bool:
        """Whether the caller has this thread; while nobody can tell, it is taken to be there."""
        try:
            async with self._pool.connection() as conn:
                args = {**caller.sight, "thread_id": thread_id}
                return await fetch_one(conn, self._sql["visible"], args) is not None
        except AWAY:
            return True

    async def latest(self, thread_id: UUID) -> DictRow | None:
        """The thread's latest run: `run_id`, `assistant_id`, `graph_id`, `status`, `cancel`."""
        return await self._row("latest", thread_id)

    async def _row(self, name: str, thread_id: UUID) -> DictRow | None:
        async with self._pool.connection() as conn:
            return await fetch_one(conn, self._sql[name], {"thread_id": thread_id})

    async def _until_seen(self, caller: Caller, thread_id: UUID) -> AsyncIterator[Sequence[Told]]:
        if await self.sees(caller, thread_id):
            return
        yield ()
        async with self._events.follow(thread_id, START) as follower:
            while not follower.closed and not await self.sees(caller, thread_id):
                if not await follower.next(SILENCE_SECONDS):
                    yield ()
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _translated(
        self, translator: Translator, batch: Sequence[Event]
    ) -> AsyncIterator[Sequence[Told]]:
        """A few events at a time, so that a long past does not hold up others."""
        new = {event.run_id for event in batch if not translator.knows(event.run_id)}
        origins = {
            row["run_id"]: Origin(row["graph_id"], row["since"], row["before"])
            for row in await self._runs(new)
        }
        for start in range(0, len(batch), _AT_ONCE):
            if told := translator.read(batch[start : start + _AT_ONCE], origins):
                yield told
            await asyncio.sleep(0)

    async def _left(self, translator: Translator, thread_id: UUID) -> Sequence[Told]:
        """How the last run left a thread whose events are gone: what waits can be answered."""
        row = await self._row("left", thread_id)
        if row is None:
            return ()
        waiting = [one for several in (row["interrupts"] or {}).values() for one in several]
        known = row["run_id"], row["epoch"], row["graph_id"]
        return translator.recall(*known, waiting, *_ending(row))

    async def _lost_ends(self, translator: Translator, follower: Follower) -> Sequence[Told]:
        """How runs ended whose end nobody could tell: their worker had died."""
        if not translator.open_runs or not (over := await self._over(translator.open_runs)):
            return ()
        follower.look_again()
        if batch := await follower.next(_END_SECONDS):
            return [told async for some in self._translated(translator, batch) for told in some]
        return [
            told
            for run_id, (status, error) in over.items()
            for told in translator.close(run_id, status, error)
        ]

    async def _over(self, run_ids: Iterable[UUID]) -> dict[UUID, tuple[str, str | None]]:
        """Status and error of those of these runs that are over; deleted ones count as stopped."""
        try:
            rows = {row["run_id"]: row for row in await self._read(run_ids)}
        except AWAY:
            return {}
        return {
            run_id: _ending(rows.get(run_id))
            for run_id in run_ids
            if run_id not in rows or rows[run_id]["status"] not in {"pending", "running"}
        }

    async def _runs(self, run_ids: Iterable[UUID]) -> list[DictRow]:
        try:
            return await self._read(run_ids)
        except AWAY:
            return []

    async def _read(self, run_ids: Iterable[UUID]) -> list[DictRow]:
        if not (wanted := list(run_ids)):
            return []
        async with self._pool.connection() as conn:
            return await fetch_all(conn, self._sql["runs"], {"run_ids": wanted})


def _ending(row: DictRow | None) -> tuple[str, str | None]:
    if row is None:
        return "interrupted", None
    error: dict[str, Any] = row["error"] or {}
    return row["status"], error.get("message")
