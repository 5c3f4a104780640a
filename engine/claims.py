"""The worker's side of a run: claim it, finish it, hand it over, take over what a dead one left.

At most one run of a thread is running (a unique index); every claim raises the thread's epoch, and
only the claim with the run's epoch can finish it and write checkpoints.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from engine.database import Connection, Pool, fetch_all, fetch_one, statements
from engine.fence import Fence
from engine.jobs import HINT, Jobs
from engine.serialise import column
from engine.snapshots import Settled

_QUARANTINE = 3


@dataclass(frozen=True)
class Run:
    """A row of `frontdesk.runs`. `kwargs` is what was asked for."""

    run_id: UUID
    thread_id: UUID
    assistant_id: UUID
    graph_id: str
    metadata: dict[str, Any]
    status: str
    kwargs: dict[str, Any]
    multitask_strategy: str
    attempt: int
    since: int
    epoch: int | None
    error: dict[str, str] | None
    cancel: str | None
    cancel_reason: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: DictRow) -> "Run":
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    @property
    def seen_status(self) -> str:
        """What clients see: a run that was told to stop is over for them."""
        return "interrupted" if self.cancel and not self.over else self.status

    @property
    def over(self) -> bool:
        return self.status not in {"pending", "running"}


@dataclass(frozen=True)
class Ending:
    """How a run ends, and how it leaves its thread. `error` is `{"error", "message"}`."""

    status: str
    thread_status: str
    state: Settled
    error: dict[str, str] | None = None


class CancelRequested(Exception):
    """The run was told to stop before it could finish; `action` says how."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(reason)
        self.action = action
        self.reason = reason


class Superseded(Exception):
    """Another claim holds the run now, or it was deleted: nothing may be written any more."""


class Claims:
    """What one worker process does to runs' rows."""

    def __init__(
        self, pool: Pool, jobs: Jobs, fence: Fence, worker: str, lease_seconds: float
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._fence = fence
        self._worker = worker
        self._lease = lease_seconds
        self._sql = statements("engine", "claims.sql")

    async def claim(self, conn: Connection, thread_id: UUID) -> Run | None:
        """The thread's oldest due run, now ours, unless one is running. Needs a transaction."""
        await conn.execute(self._sql["lock_thread"], {"thread_id": thread_id})
        args = {"thread_id": thread_id, "worker": self._worker, "lease": self._lease}
        row = await fetch_one(conn, self._sql["claim"], args)
        if row is None:
            return None
        await self._fence.raise_to(conn, thread_id, row["epoch"])
        return Run.of(row)

    async def claim_on(self, thread_id: UUID) -> Run | None:
        async with self._pool.connection() as conn, conn.transaction():
            return await self.claim(conn, thread_id)

    async def waiting(self, limit: int) -> list[UUID]:
        """Threads with a due run and none running, the oldest run first."""
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, self._sql["waiting_threads"], {"limit": limit})
        return [row["thread_id"] for row in rows]

    async def queue(self) -> dict[str, float]:
        """How many runs wait and work, and how long the waiting have waited, in seconds."""
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql["queue"], {})
        return dict(row or {})

    async def finish(self, run: Run, ending: Ending, *, more: bool) -> Run | None:
        """End the run and its thread's turn in one transaction; with `more`, claim the next run.

        Raises `Superseded`, or `CancelRequested` unless the ending is that of a cancelled run.
        """
        async with self._held(run) as (conn, cancel):
            if cancel and ending.status != "interrupted":
                raise cancel
            error = ending.error if ending.status == "error" else None
            args = {"run_id": run.run_id, "status": ending.status, "error": column(error)}
            await conn.execute(self._sql["finish"], args)
            return await self._settle(conn, run, ending, more=more)

    async def erase(self, run: Run, ending: Ending, *, more: bool) -> Run | None:
        """Like `finish`, for a run that was rolled back: its row goes. Raises `Superseded`."""
        async with self._held(run) as (conn, _):
            await conn.execute(self._sql["erase"], {"run_id": run.run_id})
            return await self._settle(conn, run, ending, more=more)

    async def hand_over(self, run: Run) -> None:
        """Give the run back unfinished, for any worker to go on with."""
        args = {"run_id": run.run_id, "epoch": run.epoch}
        async with self._pool.connection() as conn, conn.transaction():
            if await fetch_one(conn, self._sql["hand_over"], args):
                await self._jobs.defer(conn, HINT, thread_id=str(run.thread_id))

    async def take_over(self) -> list[UUID]:
        """Give up on workers whose lease ran out: their runs wait again, or fail the third time.

        Returns the threads whose followers should look again.
        """
        async with self._pool.connection() as conn:
            expired = await fetch_all(conn, self._sql["expired"], {})
        for row in expired:
            await self._expire(row)
        return [row["thread_id"] for row in expired]

    async def _expire(self, row: DictRow) -> None:
        poison = row["crashes"] + 1 >= _QUARANTINE
        error = {"error": "WorkerLost", "message": "The run's worker died three times."}
        args = {**row, "error": column(error)}
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(self._sql["lock_thread"], args)
            if not await fetch_one(conn, self._sql["quarantine" if poison else "requeue"], args):
                return
            if poison:
                await conn.execute(self._sql["fail_thread"], args)
            await self._fence.renew(conn, row["thread_id"])  # nobody may claim it ever again

    @asynccontextmanager
    async def _held(self, run: Run) -> AsyncIterator[tuple[Connection, CancelRequested | None]]:
        """A transaction that holds thread and run, and what was asked of the run meanwhile."""
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(self._sql["lock_thread"], {"thread_id": run.thread_id})
            args = {"run_id": run.run_id, "epoch": run.epoch}
            row = await fetch_one(conn, self._sql["hold"], args)
            if row is None:
                raise Superseded
            cancel = row["cancel"] and CancelRequested(row["cancel"], row["cancel_reason"])
            yield conn, cancel

    async def _settle(
        self, conn: Connection, run: Run, ending: Ending, *, more: bool
    ) -> Run | None:
        args = {
            "thread_id": run.thread_id,
            "status": ending.thread_status,
            "values": column(ending.state.values),
            "interrupts": column(ending.state.interrupts),
            "error": column(ending.error),
        }
        await conn.execute(self._sql["settle_thread"], args)
        await conn.execute(self._sql["drop_temporary"], args)
        return await self.claim(conn, run.thread_id) if more else None
