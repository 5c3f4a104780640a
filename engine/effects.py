"""The effect ledger: every write happens once, and its receipt is committed with it.

The key of an effect is its thread and its tool call. The row is claimed before the work and
completed after it, in the transaction that does the work: a crash in between leaves neither.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg.types.json import Jsonb
from typing_extensions import TypedDict

from engine.database import Connection, Pool, statements
from engine.errors import Refused


class Receipt(TypedDict):
    """A committed write: a fact that no rollback, fork or time travel undoes."""

    key: str
    tool: str
    args: dict[str, Any]
    text: str
    data: dict[str, Any]
    at: str


@dataclass(frozen=True)
class Call:
    """A write that somebody wants done, with arguments as plain JSON."""

    tenant: str
    thread_id: str
    run_id: str
    call_id: str
    tool: str
    args: dict[str, Any]

    @property
    def digest(self) -> str:
        """Equal for equal arguments, in whatever order they come."""
        text = json.dumps(self.args, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


Work = Callable[[Connection], Awaitable[tuple[str, dict[str, Any]]]]
"""Does the effect on the ledger's own transaction, and returns the receipt's text and data."""


@cache
def _sql() -> Mapping[str, str]:
    return statements("engine", "effects.sql")


@dataclass(frozen=True)
class Effects:
    """The ledger in table `frontdesk.effects`."""

    pool: Pool

    async def once(self, call: Call, work: Work) -> Receipt:
        """Do `work` unless this call was done before, and return the receipt of the one effect.

        The same tool with the same arguments in one run is the same effect. Raises `Refused` when
        the key is known with another tool or other arguments; whatever `work` raises undoes all.
        """
        values = _values(call)
        async with self.pool.connection() as conn, conn.transaction():
            claimed = await (await conn.execute(_sql()["claim"], values)).fetchone()
            if claimed is None:
                return await self._before(conn, call)
            text, data = await work(conn)
            values |= {"text": text, "data": Jsonb(data)}
            row = await (await conn.execute(_sql()["complete"], values)).fetchone()
        if row is None:
            raise RuntimeError(f"the claim of {call.thread_id}:{call.call_id} is gone")
        return _receipt(row)

    async def earlier(self, call: Call) -> Receipt | None:
        """The last receipt of the same tool with the same arguments on this thread."""
        async with self.pool.connection() as conn:
            row = await (await conn.execute(_sql()["same_call"], _values(call))).fetchone()
        return _receipt(row) if row else None

    async def receipts(self, thread_id: str) -> list[Receipt]:
        """Everything that was done on a thread, oldest first."""
        async with self.pool.connection() as conn:
            rows = await conn.execute(_sql()["receipts"], {"thread_id": thread_id})
            return [_receipt(row) async for row in rows]

    async def _before(self, conn: Connection, call: Call) -> Receipt:
        row = await (await conn.execute(_sql()["claimed_before"], _values(call))).fetchone()
        if row is None:
            raise RuntimeError(f"the row that blocked {call.thread_id}:{call.call_id} is gone")
        if (row["tool"], row["digest"]) != (call.tool, call.digest):
            raise Refused(
                f"Tool call {call.call_id} was already used for {row['tool']} with other "
                "arguments: nothing was changed."
            )
        return _receipt(row)


def _values(call: Call) -> dict[str, Any]:
    return {
        "tenant": call.tenant,
        "thread_id": call.thread_id,
        "run_id": call.run_id,
        "call_id": call.call_id,
        "tool": call.tool,
        "args": Jsonb(call.args),
        "digest": call.digest,
    }


def _receipt(row: Mapping[str, Any]) -> Receipt:
    return Receipt(
        key=f"{row['thread_id']}:{row['call_id']}",
        tool=row["tool"],
        args=row["args"],
        text=row["text"],
        data=row["data"],
        at=row["at"].isoformat(),
    )
