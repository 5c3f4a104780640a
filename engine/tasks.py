"""Tasks: the runs of a thread as agents see them, which ask back and are answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.caller import Caller
from engine.claims import Run
from engine.database import Pool, fetch_all, statements
from engine.errors import Forbidden, NotFound
from engine.serialise import column

KEY = "a2a_task"
"""The metadata by which a run goes on with a task; without it, it is a task of its own."""

OVER = frozenset({"completed", "canceled", "failed"})

_THREADS = 1_000  # of which tasks are listed, the last that changed
_MESSAGES = 10_000


@dataclass(frozen=True)
class Task:
    """A task, and the latest of its runs. Its id is that of the first."""

    task_id: str
    state: str
    run: Run


@dataclass(frozen=True)
class TaskQuery:
    """Which tasks; `since` is when they last changed."""

    thread_id: UUID | None = None
    assistant_id: UUID | None = None
    task_id: str | None = None
    state: str | None = None
    since: datetime | None = None


class Tasks:
    """The tasks on the threads that a caller can see."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("engine", "tasks.sql")

    async def get(self, caller: Caller, thread_id: UUID, task_id: str) -> Task:
        """Raises `NotFound`."""
        query = TaskQuery(thread_id=thread_id, task_id=task_id)
        found, _ = await self._find(caller, query, limit=1, offset=0)
        if not found:
            raise NotFound("Task not found")
        return found[0]

    async def waiting(self, caller: Caller, thread_id: UUID) -> Task | None:
        """The task that has asked something and got no answer yet."""
        found, _ = await self._find(caller, TaskQuery(thread_id), limit=1, offset=0)
        return found[0] if found and found[0].state == "input-required" else None

    async def search(
        self, caller: Caller, query: TaskQuery, *, limit: int, offset: int
    ) -> tuple[list[Task], int]:
        """Some of the tasks, newest first, and how many there are.

        Without a thread, of the last thousand threads; raises `Forbidden` for a public key.
        """
        if query.thread_id is None and not caller.lists:
            raise Forbidden("A public key cannot list tasks: keep the ids of those you create.")
        return await self._find(caller, query, limit=limit, offset=offset)

    async def said(self, thread_id: UUID) -> Mapping[str, str]:
        """To which task of a thread, by its id, the messages with these ids were sent."""
        args = {"thread_id": thread_id, "messages": _MESSAGES}
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, self._sql["said"], args)
        return {row["message_id"]: row["task_id"] for row in reversed(rows)}

    async def _find(
        self, caller: Caller, query: TaskQuery, *, limit: int, offset: int
    ) -> tuple[list[Task], int]:
        args: dict[str, Any] = {
            **caller.sight,
            "thread_id": query.thread_id,
            "assistant_id": query.assistant_id,
            "about": column({"assistant_id": query.assistant_id} if query.assistant_id else {}),
            "task_id": query.task_id,
            "state": query.state,
            "since": query.since,
            "threads": _THREADS,
            "limit": limit,
            "offset": offset,
        }
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, self._sql["find"], args)
        tasks = [Task(row["task_id"], row["state"], Run.of(row)) for row in rows]
        return tasks, rows[0]["total"] if rows else 0
