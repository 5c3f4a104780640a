"""Summaries of conversations for people, written by a job that follows runs."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any
from uuid import UUID

from engine.database import Connection, Pool, fetch_one, statements
from engine.jobs import BACKGROUND
from engine.outbox import Follower


@dataclass(frozen=True)
class Digest:
    """What a conversation is about."""

    intent: str | None
    outcome: str
    turns: int
    text: str


@dataclass(frozen=True)
class Summary(Digest):
    """The digest of a thread's state; a higher `version` is that of a later state."""

    thread_id: UUID
    tenant: str
    version: int


Summarise = Callable[[Mapping[str, Any]], Digest | None]
"""Of a thread's values as JSON; None when there is nothing to say."""


@dataclass(frozen=True)
class Summaries:
    """Table `frontdesk.summaries`. `next_job` is deferred, with `key` and `thread_id`, for each."""

    pool: Pool
    summarise: Summarise
    next_job: str | None = None

    def follower(self, graphs: frozenset[str], delay: float) -> Follower:
        """Runs that end within `delay` seconds of another make one summary."""
        return Follower(self.refresh, graphs=graphs, delay=delay, merge=True)

    async def refresh(self, *, thread_id: str, **_: Any) -> None:
        """Summarise the thread as it is now, unless somebody has seen it later than we do."""
        async with self.pool.connection() as conn:
            row = await fetch_one(conn, _sql()["read"], {"thread_id": thread_id})
            digest = self.summarise(row["values"]) if row and row["values"] else None
            if row and digest:
                named = {"thread_id": thread_id, "tenant": row["tenant"]}
                await self.keep(conn, Summary(**asdict(digest), version=row["version"], **named))

    async def keep(self, conn: Connection, summary: Summary) -> bool:
        """Whether it was kept: not when a newer one is there."""
        args = {**asdict(summary), "queue": BACKGROUND, "next": self.next_job}
        return await fetch_one(conn, _sql()["keep"], args) is not None

    async def get(self, thread_id: UUID | str) -> Summary | None:
        async with self.pool.connection() as conn:
            row = await fetch_one(conn, _sql()["get"], {"thread_id": thread_id})
        return Summary(**row) if row else None


@cache
def _sql() -> Mapping[str, str]:
    return statements("engine", "summaries.sql")
