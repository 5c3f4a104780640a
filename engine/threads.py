"""Threads: conversations, each owned by one tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from langgraph.checkpoint.base import BaseCheckpointSaver
from psycopg.rows import DictRow

from engine.caller import Caller
from engine.database import Connection, Pool, fetch_all, fetch_one, statements
from engine.errors import Conflict, Forbidden, NotFound
from engine.events import Events
from engine.fence import Fence
from engine.ids import new_id
from engine.pages import Page
from engine.serialise import column
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

    @property
    def graph_id(self) -> str | None:
        value = self.metadata.get("graph_id")
        return value if isinstance(value, str) else None


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
        self, pool: Pool, events: Events, checkpointer: BaseCheckpointSaver[Any], fence: Fence
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
        keep_existing: bool = False,
    ) -> Thread:
        """A new thread, or the caller's existing one. Raises `Conflict` when the id is taken."""
        thread_id = thread_id or new_id()
        async with self._pool.connection() as conn:
            if thread := await self.insert(conn, caller, thread_id, metadata=metadata):
                return thread
            if keep_existing and (row := await self._fetch(conn, "get", caller, thread_id)):
                return _thread(row)
        raise Conflict(f"Thread with ID {thread_id} already exists")

    async def insert(
        self,
        conn: Connection,
        caller: Caller,
        thread_id: UUID,
        *,
        metadata: Mapping[str, Any] | None = None,
        temporary: bool = False,
    ) -> Thread | None:
        """The new thread, or None when the id is taken."""
        row = await fetch_one(
            conn,
            self._sql["insert"],
            {
                "thread_id": thread_id,
                "tenant": caller.tenant,
                "owner": caller.identity,
                "metadata": column(metadata or {}),
                "temporary": temporary,
            },
        )
        return _thread(row) if row else None

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

    async def patch(self, caller: Caller, thread_id: UUID, metadata: Mapping[str, Any]) -> Thread:
        """Merge `metadata` into the thread's, one level deep. Raises `NotFound`."""
        args = {
            "thread_id": thread_id,
            "tenant": caller.tenant,
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
            active = await fetch_all(conn, self._sql["active_runs"], {"thread_id": thread_id})
            epoch = await self._fence.renew(conn, thread_id)  # dying runs add nothing any more
            await conn.execute(self._sql["delete"], {"thread_id": thread_id})
        for row in active:
            await self._events.cancel(row["run_id"])
        await self._fence.tell(self._checkpointer, thread_id, epoch)
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

    async def _fetch(
        self, conn: Connection, name: str, caller: Caller, thread_id: UUID
    ) -> DictRow | None:
        args = {"thread_id": thread_id, "tenant": caller.tenant}
        return await fetch_one(conn, self._sql[name], args)


def _thread(row: DictRow) -> Thread:
    return Thread(**{name: row[name] for name in Thread.__dataclass_fields__})


def _filter(caller: Caller, query: ThreadQuery) -> dict[str, Any]:
    if not caller.trusted:
        raise Forbidden("A public key cannot list threads: keep the ids of those you create.")
    return {
        "tenant": caller.tenant,
        "ids": None if query.ids is None else list(query.ids),
        "status": query.status,
        "metadata": column(query.metadata or {}),
        "values": column(query.values),
    }
