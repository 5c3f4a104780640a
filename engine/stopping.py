"""Telling runs to stop: one, those of a list, or all of a status.

One that has never begun is over at once, and nobody will end it: what follows it is written here.
One that works gets a moment to end before the answer, and who reads the thread's state waits for it
too: `useStream` reads it beside its request, and shows what has not ended as a breakpoint.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import DictRow

from engine.caller import Caller
from engine.claims import Claims, Run
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.errors import Forbidden, NotFound
from engine.events import Events
from engine.following import Follower
from engine.threads import Threads

Action = Literal["interrupt", "rollback"]
Active = Literal["pending", "running"]

_MOMENT_SECONDS = 3.0
_NONE = "No runs found to cancel."
_OVER = (
    "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs "
    "haven't been deleted or completed."
)
_REASON = "{action} requested via POST {path}"
_ONE = "/threads/{thread_id}/runs/{run_id}/cancel"  # the braces are shown
_MANY = "/runs/cancel"


@dataclass(frozen=True)
class Stop:
    """How runs are told to stop; `rollback` also removes all trace of them."""

    action: Action = "interrupt"
    reason: str | None = None

    def because(self, path: str) -> str:
        return self.reason or _REASON.format(action=self.action, path=path)


class Stopping:
    """Stops the runs on a caller's threads."""

    def __init__(self, pool: Pool, events: Events, threads: Threads, claims: Claims) -> None:
        self._pool = pool
        self._events = events
        self._threads = threads
        self._claims = claims
        self._sql = statements("engine", "runs.sql")
        self._under_way: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    async def one(self, caller: Caller, thread_id: UUID, run_id: UUID, stop: Stop) -> Run:
        """Returns it as it was. Raises `NotFound` when there is nothing to stop."""
        with self._is_under_way(thread_id):
            if not await self._find(caller, thread_id, {"ids": [run_id]}):
                raise NotFound(_NONE)
            last = await self._events.last(thread_id)
            async with self._events.follow(thread_id, last) as follower:
                told = await self._stop(caller, thread_id, run_id, stop.action, stop.because(_ONE))
                if not told:
                    raise NotFound(_OVER)
                if told[0]["status"] == "running":
                    await _end(follower, run_id)
        return Run.of(told[0])

    async def settled(self, thread_id: UUID) -> None:
        """Wait for those on this thread that are being told to stop here."""
        for over in tuple(self._under_way.get(thread_id, ())):
            await over.wait()

    async def these(
        self, caller: Caller, thread_id: UUID, run_ids: Collection[UUID], stop: Stop
    ) -> None:
        """Those of a thread that are not over. Raises `NotFound` when there are none."""
        found = await self._find(caller, thread_id, {"ids": list(run_ids)})
        if not found:
            raise NotFound(_NONE)
        if not await self._stop_all(caller, found, stop):
            raise NotFound(_OVER)

    async def all(self, caller: Caller, statuses: Collection[Active], stop: Stop) -> None:
        """Every one that the caller may see. Raises `NotFound`, `Forbidden` for a public key."""
        if not caller.lists:
            raise Forbidden("A public key cannot list runs: name those to cancel.")
        found = await self._find(caller, None, {"statuses": list(statuses)})
        if not await self._stop_all(caller, found, stop):
            raise NotFound(_NONE)

    async def tell(self, thread_id: UUID, told: Sequence[DictRow]) -> None:
        """Let the workers and followers of runs that were told to stop know."""
        for row in told:
            if row["status"] == "running":
                await self._events.cancel(row["run_id"])
        if told:
            await self._events.check(thread_id)

    @contextmanager
    def _is_under_way(self, thread_id: UUID) -> Iterator[None]:
        over = asyncio.Event()
        self._under_way[thread_id].add(over)
        try:
            yield
        finally:
            over.set()
            self._under_way[thread_id].discard(over)
            if not self._under_way[thread_id]:
                del self._under_way[thread_id]

    async def _stop_all(self, caller: Caller, found: Sequence[DictRow], stop: Stop) -> bool:
        """Whether any was stopped."""
        reason = stop.because(_MANY)
        told = [
            await self._stop(caller, row["thread_id"], row["run_id"], stop.action, reason)
            for row in found
        ]
        return any(told)

    async def _stop(
        self, caller: Caller, thread_id: UUID, run_id: UUID, action: Action, reason: str
    ) -> list[DictRow]:
        """Those that were told to stop, as they were."""
        args = {"thread_id": thread_id, "run_id": run_id, "action": action, "reason": reason}
        async with self._pool.connection() as conn, conn.transaction():
            if not await self._threads.lock(conn, caller, thread_id):
                return []
            told = await fetch_all(conn, self._sql["stop"], args)
            await self._claims.follow_unbegun(conn, told, action, reason)
            gone = await fetch_one(conn, self._sql["let_go"], args)
        await self.tell(thread_id, told)
        if gone:
            await self._threads.forget(thread_id)
        return told

    async def _find(
        self, caller: Caller, thread_id: UUID | None, which: dict[str, Any]
    ) -> list[DictRow]:
        args = {**caller.sight, "thread_id": thread_id, "ids": None, "statuses": None, **which}
        async with self._pool.connection() as conn:
            return await fetch_all(conn, self._sql["find"], args)


async def _end(follower: Follower, run_id: UUID) -> None:
    """Wait for the run's end, for a moment: what it does may take long to give up."""
    clock = asyncio.get_running_loop().time
    until = clock() + _MOMENT_SECONDS
    while not follower.closed and (left := until - clock()) > 0:
        events = await follower.next(left)
        if any(event.run_id == run_id and event.name == "end" for event in events):
            return
