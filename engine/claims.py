"""The worker's side of a run: claim it, finish it, hand it over, take over what a dead one left.

At most one run of a thread is running (a unique index); every claim raises the thread's epoch, and
only the claim with the run's epoch can finish it and write checkpoints.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from psycopg.rows import DictRow

from engine.database import Connection, Pool, fetch_all, fetch_one, statements
from engine.fence import Fence
from engine.jobs import HINT, Jobs
from engine.serialise import column
from engine.snapshots import Settled

_QUARANTINE = 3
_GRACE_SECONDS = 1.0  # for a worker to end what was told to stop


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
    def seen_kwargs(self) -> dict[str, Any]:
        """What others may see of what was asked for: not by whom, and nothing for telemetry."""
        kwargs = {name: value for name, value in self.kwargs.items() if name != "trace"}
        config = kwargs["config"]
        configurable = {
            name: value
            for name, value in config["configurable"].items()
            if not name.startswith("langgraph_auth_")
        }
        return {**kwargs, "config": {**config, "configurable": configurable}}

    @property
    def seen_status(self) -> str:
        """What clients see: a run that was told to stop is over for them."""
        return "interrupted" if self.cancel and not self.over else self.status

    @property
    def over(self) -> bool:
        return self.status not in {"pending", "running"}


@dataclass(frozen=True)
class Ending:
    """How a run ends, and how it leaves its thread. `error` is `{"error", "message"}`.

    One that was told to stop before it began has not `begun`.
    """

    status: str
    thread_status: str
    state: Settled
    error: dict[str, str] | None = None
    begun: bool = True


class Follow(Protocol):
    """What has to follow runs: written down in the transaction that ends them."""

    def wants(self, run: Run, ending: Ending) -> bool: ...

    async def add(self, conn: Connection, run: Run, ending: Ending) -> None: ...


class CancelRequested(Exception):
    """The run was told to stop before it could finish; `action` says how."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(reason)
        self.action = action
        self.reason = reason


def stopped(action: str, reason: str, state: Settled, *, begun: bool = True) -> Ending:
    """The end of a run that was told to stop, and left this."""
    if action == "rollback":
        error = {"error": "UserRollback", "message": reason}
        return Ending("interrupted", state.status, state, error, begun)
    error = {"error": "UserInterrupt", "message": reason}
    left = Settled("interrupted", state.values, {})
    return Ending("interrupted", "interrupted", left, error, begun)


class Superseded(Exception):
    """Another claim holds the run now, or it was deleted: nothing may be written any more."""


def why(lost: DictRow) -> str:
    """Why a run is taken from its worker: `dead`, `deaf` to a cancel, or `quarantined`."""
    if not lost["expired"]:
        return "deaf"
    return "quarantined" if lost["crashes"] + 1 >= _QUARANTINE else "dead"


class Claims:
    """What one worker process does to runs' rows."""

    def __init__(
        self,
        pool: Pool,
        jobs: Jobs,
        fence: Fence,
        worker: str,
        lease_seconds: float,
        tenant_runs: int | None = None,
        outbox: Follow | None = None,
    ) -> None:
        """`tenant_runs`: how many runs of one tenant may be at work at a time."""
        self._pool = pool
        self._jobs = jobs
        self._fence = fence
        self._outbox = outbox
        self._sql = statements("engine", "claims.sql")
        self._terms = {
            "worker": worker,
            "lease": lease_seconds,
            "most": tenant_runs,
            "fence": fence.schema,
        }

    @property
    def terms(self) -> Mapping[str, Any]:
        """What a claim is made with: `worker`, `lease` in seconds, `most`, `fence`."""
        return self._terms

    async def claim_on(self, thread_id: UUID) -> Run | None:
        """The thread's oldest due run, now ours, unless one is running."""
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql["claim"], {**self._terms, "thread_id": thread_id})
        return Run.of(row) if row else None

    async def waiting(self, limit: int) -> list[UUID]:
        """Threads with a due run and none running, by turns between tenants."""
        args = {**self._terms, "limit": limit}
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, self._sql["waiting_threads"], args)
        return [row["thread_id"] for row in rows]

    async def load(self, limit: int) -> dict[str, int]:
        """How many due runs wait, by tenant; `limit` are counted at most."""
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, self._sql["load"], {"limit": limit})
        return {row["tenant"]: row["waiting"] for row in rows}

    async def finish(
        self, run: Run, ending: Ending, *, more: bool, erased: bool = False
    ) -> Run | None:
        """End the run and its thread's turn in one transaction; with `more`, claim the next run.

        `erased`: it was rolled back, so its row goes. Raises `Superseded`, or `CancelRequested`
        unless the ending is that of a cancelled run.
        """
        args = {
            **self._terms,
            "run_id": run.run_id,
            "thread_id": run.thread_id,
            "epoch": run.epoch,
            "erased": erased,
            "status": ending.status,
            "failure": column(ending.error if ending.status == "error" else None),
            "resting": ending.thread_status,
            "values": column(ending.state.values),
            "interrupts": column(ending.state.interrupts),
            "error": column(ending.error),
        }
        if not more:
            args["worker"] = None
        async with self._pool.connection() as conn, self._followed(conn, run, ending):
            ended, *following = await fetch_all(conn, self._sql["finish"], args) or (None,)
            if ended is None:
                raise Superseded
            if ended["status"] == "running":
                raise CancelRequested(ended["cancel"], ended["cancel_reason"])
        return Run.of(following[0]) if following else None

    @asynccontextmanager
    async def _followed(self, conn: Connection, run: Run, ending: Ending) -> AsyncIterator[None]:
        """A transaction with the jobs that follow, if there are any: in it the run may end."""
        if self._outbox is None or not self._outbox.wants(run, ending):
            yield
            return
        async with conn.transaction():
            await self._outbox.add(conn, run, ending)  # while the rows are as they were
            yield

    async def follow_unbegun(
        self, conn: Connection, told: Sequence[DictRow], action: str, reason: str
    ) -> None:
        """Write down what follows those that were told to stop before they began."""
        for row in told:
            if row["status"] != "pending" or row["attempt"] or self._outbox is None:
                continue
            run = Run.of(row)
            ending = stopped(action, reason, Settled("idle", None, {}), begun=False)
            if self._outbox.wants(run, ending):
                await self._outbox.add(conn, run, ending)

    async def renew(self, run: Run) -> Run:
        """The run under a new epoch, so that what its graph still does is void.

        Raises `Superseded`.
        """
        args = {"run_id": run.run_id, "thread_id": run.thread_id, "epoch": run.epoch}
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(self._sql["lock_thread"], args)
            if not await fetch_one(conn, self._sql["hold"], args):
                raise Superseded
            args["epoch"] = await self._fence.renew(conn, run.thread_id)
            row = await fetch_one(conn, self._sql["renew"], args)
        if row is None:
            raise Superseded
        return Run.of(row)

    async def hand_over(self, run: Run) -> None:
        """Give the run back unfinished, for any worker to go on with."""
        args = {"run_id": run.run_id, "thread_id": run.thread_id, "epoch": run.epoch}
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(self._sql["lock_thread"], args)
            if await fetch_one(conn, self._sql["hand_over"], args):
                await conn.execute(self._sql["keep"], args)
                await self._jobs.defer(conn, HINT, thread_id=str(run.thread_id))

    async def keep(self, run: Run) -> None:
        """Let the thread of a stateless run stay for a minute after it."""
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["keep"], {"thread_id": run.thread_id})

    async def is_gone(self, run: Run) -> bool:
        """Whether its thread has gone with it."""
        async with self._pool.connection() as conn:
            args = {"thread_id": run.thread_id}
            return await fetch_one(conn, self._sql["lock_thread"], args) is None

    async def lost(self) -> list[DictRow]:
        """Runs whose lease ran out, and those that were told to stop and whose worker, blocked or
        paused, does not end them.
        """
        async with self._pool.connection() as conn:
            return await fetch_all(conn, self._sql["lost"], {"grace": _GRACE_SECONDS})

    async def take_over(self, lost: Sequence[DictRow]) -> list[UUID]:
        """Give up on their workers: the runs wait again, or fail the third time.

        Returns the threads whose followers should look again.
        """
        for row in lost:
            await self._give_up(row)
        return [row["thread_id"] for row in lost]

    async def forget_keys(self) -> None:
        """Delete the idempotency keys that are older than a day."""
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["forget_keys"])

    async def _give_up(self, row: DictRow) -> None:
        poison = why(row) == "quarantined"
        error = {"error": "WorkerLost", "message": "The run's worker died three times."}
        args = {**row, "error": column(error), "grace": _GRACE_SECONDS}
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(self._sql["lock_thread"], args)
            done = await fetch_one(conn, self._sql["quarantine" if poison else "requeue"], args)
            if done is None:
                return
            await conn.execute(self._sql["keep"], args)
            if poison:
                await conn.execute(self._sql["fail_thread"], args)
                await self._follow_failed(conn, Run.of(done), error)
            await self._fence.renew(conn, row["thread_id"])  # nobody may claim it ever again

    async def _follow_failed(self, conn: Connection, run: Run, error: dict[str, str]) -> None:
        ending = Ending("error", "error", Settled("error", None, {}), error)
        if self._outbox and self._outbox.wants(run, ending):
            await self._outbox.add(conn, run, ending)
