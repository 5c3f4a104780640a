"""Threads: conversations, each owned by one tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import DictRow

from checkpoints.checkpointer import Checkpointer
from engine.caller import Caller
from engine.database import Connection, Pool, fetch_all, fetch_one, statements
from engine.errors import Conflict, Forbidden, NotFound
from engine.events import Events
from engine.fence import Fence
from engine.ids import new_id
from engine.pages import Page
from engine.serialise import column, exactly
from engine.snapshots import Settled

SORTABLE = ("thread_id", "created_at", "updated_at", "state_updated_at", "status")


@dataclass(frozen=True)
class Thread:
    """A row of `frontdesk.threads`."""

    thread_id: UUID
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: dict[str, Any]
    status: str
    config: dict[str, Any]
    values: Any
    interrupts: dict[str, Any] | None
    error: Any
    epoch: int
    ttl_minutes: float | None = None
    ttl_strategy: str | None = None
    expires_at: datetime | None = None

    @property
    def graph_id(self) -> str | None:
        value = self.metadata.get("graph_id")
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class Ttl:
    """So many minutes after its last change a thread is deleted, or its old checkpoints are."""

    minutes: float
    strategy: Literal["delete", "keep_latest"] = "delete"


@dataclass(frozen=True)
class ThreadQuery:
    """Which threads: all of it must match; `metadata` and `values` by containment."""

    ids: Sequence[UUID] | None = None
    metadata: Mapping[str, Any] | None = None
    values: Mapping[str, Any] | None = None
    status: str | None = None


class Threads:
    """The threads of a caller's tenant. Another tenant's are as if they did not exist."""

    def __init__(
        self, pool: Pool, events: Events, checkpointer: Checkpointer, fence: Fence
    ) -> None:
        self._pool = pool
        self._events = events
        self._checkpointer = checkpointer
        self._fence = fence
        self._sql = statements("engine", "threads.sql")

    async def create(
        self,
        caller: Caller,
        *,
        thread_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl: Ttl | None = None,
        keep_existing: bool = False,
    ) -> Thread:
        """A new thread, or the caller's existing one. Raises `Conflict` when the id is taken."""
        thread_id = thread_id or new_id()
        async with self._pool.connection() as conn:
            if thread := await self._insert(conn, caller, thread_id, metadata or {}, ttl):
                return thread
            if keep_existing and (row := await self._fetch(conn, "get", caller, thread_id)):
                return _thread(row)
        raise Conflict(f"Thread with ID {thread_id} already exists")

    async def get(self, caller: Caller, thread_id: UUID) -> Thread:
        """Raises `NotFound`."""
        async with self._pool.connection() as conn:
            if row := await self._fetch(conn, "get", caller, thread_id):
                return _thread(row)
        raise NotFound(f"Thread with ID {thread_id} not found")

    async def lock(self, conn: Connection, caller: Caller, thread_id: UUID) -> Thread | None:
        """The thread, held until the transaction ends: whoever decides about its runs holds it."""
        row = await self._fetch(conn, "lock", caller, thread_id)
        return _thread(row) if row else None

    async def add_copy(
        self, caller: Caller, thread_id: UUID, source: Thread, metadata: Mapping[str, Any]
    ) -> Thread:
        """A new thread of the caller's that is as `source` is."""
        args = {
            "thread_id": thread_id,
            "tenant": caller.tenant,
            "owner": caller.identity,
            "metadata": column(metadata),
            "config": column(source.config),
            "status": source.status,
            "values": column(source.values),
            "interrupts": column(source.interrupts),
            "error": column(source.error),
            "ttl_minutes": source.ttl_minutes,
            "ttl_strategy": source.ttl_strategy,
        }
        async with self._pool.connection() as conn:
            (row,) = await fetch_all(conn, self._sql["copy"], args)
        return _thread(row)

    async def patch(
        self,
        caller: Caller,
        thread_id: UUID,
        metadata: Mapping[str, Any],
        ttl: Ttl | None = None,
    ) -> Thread:
        """Merge `metadata` into the thread's, one level deep. Raises `NotFound`."""
        args = {
            **caller.sight,
            **_ttl(ttl),
            "thread_id": thread_id,
            "metadata": column(metadata),
        }
        async with self._pool.connection() as conn:
            if row := await fetch_one(conn, self._sql["patch"], args):
                return _thread(row)
        raise NotFound

    async def delete(self, caller: Caller, thread_id: UUID) -> None:
        """Delete it with its runs, stopping those that work. Raises `NotFound`."""
        async with self._pool.connection() as conn, conn.transaction():
            if not await self.lock(conn, caller, thread_id):
                raise NotFound(f"Thread with ID {thread_id} not found")
            gone = await self._remove(conn, thread_id)
        await self._forget(gone)

    async def delete_expired(self, thread_id: UUID, expires_at: datetime) -> bool:
        """Delete it unless it was changed since, or has runs that wait or work: then False."""
        args = {"thread_id": thread_id, "expires_at": expires_at}
        async with self._pool.connection() as conn, conn.transaction():
            if not await fetch_one(conn, self._sql["lock_expired"], args):
                return False
            gone = await self._remove(conn, thread_id)
        await self._forget(gone)
        return True

    async def prune(self, caller: Caller, thread_id: UUID) -> bool:
        """Delete all checkpoints but the latest, unless runs wait or work. Raises `NotFound`."""
        async with self._pool.connection() as conn, conn.transaction():
            if not await self.lock(conn, caller, thread_id):
                raise NotFound(f"Thread with ID {thread_id} not found")
            if await fetch_all(conn, self._sql["active_runs"], {"thread_id": thread_id}):
                return False
        await self._checkpointer.aprune([str(thread_id)], strategy="keep_latest")
        return True

    async def ids(self, caller: Caller, metadata: Mapping[str, Any]) -> list[UUID]:
        """Those of all threads with such metadata. Raises `Forbidden` for a public key."""
        args = _filter(caller, ThreadQuery(metadata=metadata))
        async with self._pool.connection() as conn:
            return [row["thread_id"] for row in await fetch_all(conn, self._sql["ids"], args)]

    async def exists(self, caller: Caller, thread_id: UUID) -> bool:
        """Whether the caller has such a thread."""
        async with self._pool.connection() as conn:
            return bool(await self._fetch(conn, "get", caller, thread_id))

    async def forget(self, thread_id: UUID) -> None:
        """Delete what stores beside the tables hold of a thread that is gone."""
        await self._checkpointer.adelete_thread(str(thread_id))
        await self._events.forget(thread_id)

    async def search(self, caller: Caller, query: ThreadQuery, page: Page) -> list[Thread]:
        """Raises `Forbidden` for a public key."""
        sql = self._sql["search"] + page.clause(SORTABLE, default="updated_at", tie="thread_id")
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, sql, _filter(caller, query))
        return [_thread(row) for row in rows]

    async def count(self, caller: Caller, query: ThreadQuery) -> int:
        """Raises `Forbidden` for a public key."""
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql["count"], _filter(caller, query))
        return int(row["count"]) if row else 0

    async def take(self, caller: Caller, thread_id: UUID) -> Thread:
        """A thread without active runs, with a new epoch: its state may be changed under it.

        The next claim ends that. Raises `NotFound`, or `Conflict` when runs are pending or running.
        """
        async with self._pool.connection() as conn, conn.transaction():
            thread = await self.lock(conn, caller, thread_id)
            if thread is None:
                raise NotFound(f"Thread with ID {thread_id} not found")
            active = await fetch_all(conn, self._sql["active_runs"], {"thread_id": thread_id})
            if active:
                ids = [str(row["run_id"]) for row in active]
                raise Conflict(f"Thread {thread_id} has in-flight runs: {ids}")
            return replace(thread, epoch=await self._fence.renew(conn, thread_id))

    async def settle(self, thread: Thread, state: Settled) -> None:
        """Bring the row in line with a state that no run wrote, unless one has claimed it since."""
        args = {
            "thread_id": thread.thread_id,
            "epoch": thread.epoch,
            "status": state.status,
            "values": column(state.values),
            "interrupts": column(state.interrupts),
        }
        async with self._pool.connection() as conn, conn.transaction():
            if await fetch_one(conn, self._sql["hold"], args):
                await conn.execute(self._sql["settle"], args)

    async def _insert(
        self,
        conn: Connection,
        caller: Caller,
        thread_id: UUID,
        metadata: Mapping[str, Any],
        ttl: Ttl | None,
    ) -> Thread | None:
        """The new thread, or None when the id is taken."""
        args = {
            **_ttl(ttl),
            "thread_id": thread_id,
            "tenant": caller.tenant,
            "owner": caller.identity,
            "metadata": column(metadata),
        }
        row = await fetch_one(conn, self._sql["insert"], args)
        return _thread(row) if row else None

    async def _remove(self, conn: Connection, thread_id: UUID) -> "_Gone":
        """Delete the row, which is locked, and all that hangs on it."""
        active = await fetch_all(conn, self._sql["active_runs"], {"thread_id": thread_id})
        epoch = await self._fence.renew(conn, thread_id)  # dying runs add nothing any more
        await conn.execute(self._sql["delete"], {"thread_id": thread_id})
        return _Gone(thread_id, [row["run_id"] for row in active], epoch)

    async def _forget(self, gone: "_Gone") -> None:
        """What the database does not hold goes after the commit."""
        for run_id in gone.runs:
            await self._events.cancel(run_id)
        await self._fence.tell(self._checkpointer, gone.thread_id, gone.epoch)
        await self._checkpointer.adelete_thread(str(gone.thread_id))
        await self._events.forget(gone.thread_id)

    async def _fetch(
        self, conn: Connection, name: str, caller: Caller, thread_id: UUID
    ) -> DictRow | None:
        args = {**caller.sight, "thread_id": thread_id}
        return await fetch_one(conn, self._sql[name], args)


@dataclass(frozen=True)
class _Gone:
    """A thread that was deleted, with the runs that were active on it."""

    thread_id: UUID
    runs: Sequence[UUID]
    epoch: int


def _ttl(ttl: Ttl | None) -> dict[str, Any]:
    return {"ttl_minutes": ttl and ttl.minutes, "ttl_strategy": ttl and ttl.strategy}


def _thread(row: DictRow) -> Thread:
    return Thread(**{name: row[name] for name in Thread.__dataclass_fields__})


def _filter(caller: Caller, query: ThreadQuery) -> dict[str, Any]:
    if not caller.lists:
        raise Forbidden("A public key cannot list threads: keep the ids of those you create.")
    return {
        **caller.sight,
        "ids": None if query.ids is None else list(query.ids),
        "status": query.status,
        "metadata": column(query.metadata or {}),
        "exact": exactly(query.metadata),
        "values": column(query.values),
    }
