"""The effect ledger: every write happens once, and its receipt is committed with it.

The key of an effect is its thread and its tool call. For our own tables the row is claimed before
the work and completed after it, in the transaction that does the work: a crash in between leaves
neither. What is remote cannot share a transaction: see `engine.remote`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from engine.database import Connection, Pool, fetch_one
from engine.errors import OutcomeUnknown
from engine.ledger import Call, Receipt, claimed_before, columns, enter, hold, receipt_of, sql
from engine.remote import OnUnknown, Reconcile, Remote, Send

__all__ = ["Call", "Effects", "Receipt"]

Work = Callable[[Connection], Awaitable[tuple[str, dict[str, Any]]]]
"""Does the effect on the ledger's own transaction, and returns the receipt's text and data."""


@dataclass(frozen=True)
class Effects:
    """The ledger in table `frontdesk.effects`.

    `on_unknown` is called with the name of a tool whose outcome a colleague has to find out.
    """

    pool: Pool
    on_unknown: OnUnknown | None = None

    async def once(self, call: Call, work: Work, *, seconds: float = 30.0) -> Receipt:
        """Do `work` unless this call was done before, and return the receipt of the one effect.

        The same tool with the same arguments in one run is the same effect. Raises `Refused` when
        the key is known with another tool or other arguments, `checkpoints.Superseded` when the
        thread has another owner; whatever is raised undoes all. A process that sleeps in it for
        longer than `seconds` and a little loses the transaction.
        """
        values = columns(call)
        async with self.pool.connection() as conn, conn.transaction():
            await enter(conn, call, seconds)
            if await fetch_one(conn, sql()["claim"], values) is None:
                return await self._before(conn, call)
            text, data = await work(conn)
            values |= {"text": text, "data": Jsonb(data), "attempt": None, "keyed": False}
            row = await fetch_one(conn, sql()["complete"], values)
            await hold(conn, call)
        if row is None:
            raise RuntimeError(f"the claim of {call.key} is gone")
        return receipt_of(row)

    async def remote(
        self,
        call: Call,
        send: Send,
        *,
        honours_key: bool,
        reconcile: Reconcile | None = None,
        seconds: float = 30.0,
        retries: int = 0,
    ) -> Receipt:
        """Have a remote system do this call once, and return its receipt.

        `seconds` bound one `send`; `retries` are made only where the key is honoured. An error that
        proves that nothing happened (`Refused`, no connection) leaves nothing behind. Raises
        `OutcomeUnknown`, `Unavailable` when it certainly was not done, `Refused` when the key is
        known with other arguments, `checkpoints.Superseded` when the thread has another owner.
        """
        remote = Remote(
            self.pool,
            send,
            reconcile,
            honours_key=honours_key,
            seconds=seconds,
            retries=retries if honours_key else 0,
            on_unknown=self.on_unknown,
        )
        return await remote.once(call)

    async def earlier(self, call: Call) -> Receipt | None:
        """The last receipt of the same tool with the same arguments on this thread."""
        async with self.pool.connection() as conn:
            row = await fetch_one(conn, sql()["same_call"], columns(call))
        return receipt_of(row) if row else None

    async def receipts(self, thread_id: str, tenant: str | None = None) -> list[Receipt]:
        """Everything that was done on a thread, oldest first; by one tenant, or by any."""
        async with self.pool.connection() as conn:
            rows = await conn.execute(sql()["receipts"], {"thread_id": thread_id, "tenant": tenant})
            return [receipt_of(row) async for row in rows]

    async def _before(self, conn: Connection, call: Call) -> Receipt:
        row = await claimed_before(conn, call)
        if row["state"] != "done":
            raise OutcomeUnknown
        return receipt_of(row)
