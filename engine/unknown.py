"""Effects that nobody can tell the outcome of: a colleague looks, and settles each."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from psycopg import OperationalError

from engine.audit import record
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.errors import NotFound

log = logging.getLogger(__name__)

_PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Unknown:
    """A write to a remote system, begun at `at`."""

    thread_id: str
    call_id: str
    tenant: str
    run_id: str
    tool: str
    args: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class Unknowns:
    """The open outcomes in the effect ledger."""

    pool: Pool

    async def listed(self) -> list[Unknown]:
        """All of them, the oldest first."""
        async with self.pool.connection() as conn:
            rows = await fetch_all(conn, _sql()["open"], {})
        return [Unknown(**row) for row in rows]

    async def escalate_overdue(self, seconds: float = _PATIENCE) -> list[str]:
        """Make unknown what was begun, has run out for so long, and whose run is over.

        Returns the names of the tools.
        """
        async with self.pool.connection() as conn:
            rows = await fetch_all(conn, _sql()["overdue"], {"seconds": seconds})
        return [row["tool"] for row in rows]

    async def escalate_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_PATIENCE / 2)
            try:
                for tool in await self.escalate_overdue():
                    log.error("nobody knows whether a %s was done", tool)
            except OperationalError as error:
                log.warning("open outcomes cannot be looked for (%s)", error)

    async def settle(self, thread_id: str, call_id: str, actor: str, *, happened: bool) -> None:
        """Write down what a colleague found out.

        What happened has a receipt from now on; what did not is forgotten, so that it may be done.
        Raises `NotFound`.
        """
        text = "Done, as a colleague has found out."
        args = {"thread_id": thread_id, "call_id": call_id}
        async with self.pool.connection() as conn, conn.transaction():
            if happened:
                row = await fetch_one(conn, _sql()["happened"], {**args, "text": text})
            else:
                row = await fetch_one(conn, _sql()["did_not"], args)
            if row is None:
                raise NotFound(f"There is no effect {thread_id}:{call_id} whose outcome is unknown")
            await record(
                conn,
                tenant=row["tenant"],
                actor=actor,
                action="effect.settled",
                thread_id=thread_id,
                run_id=row["run_id"],
                detail={"call_id": call_id, "tool": row["tool"], "happened": happened},
            )


@cache
def _sql() -> Mapping[str, str]:
    return statements("engine", "unknown.sql")
