"""Effects on remote systems: begun in one transaction, completed in another, never guessed.

Between the two a process may die or sleep. Whoever comes next sends again where the remote honours
the key, asks the remote where it can be asked, and otherwise leaves the outcome to a colleague.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import uuid4

import httpx
import psycopg
from psycopg.types.json import Jsonb

from engine.audit import record
from engine.database import Connection, Pool, fetch_one
from engine.errors import OutcomeUnknown, Refused, Unavailable
from engine.ledger import Call, Receipt, claimed_before, columns, enter, receipt_of, sql

log = logging.getLogger(__name__)

Row = dict[str, Any]
Done = tuple[str, dict[str, Any]]
"""The receipt's text and data."""
Send = Callable[[str], Awaitable[Done]]
"""Calls the remote with an idempotency key."""
Reconcile = Callable[[str], Awaitable[Done | None]]
"""Asks the remote what became of a key: None only if it was not done and will not be any more."""
OnUnknown = Callable[[str], None]

_NOT_CONNECTED = (
    ConnectionRefusedError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
)
_PAUSE = 0.1
_GRACE_SECONDS = 1.0
_RECORD_ATTEMPTS = 7  # of a receipt in hand, while the database is away: about twelve seconds


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """One process's right to call the remote for a row, until `deadline` on the loop's clock.

    `first`: nobody can have called it before, so what was not sent was not done.
    """

    row: Row
    deadline: float
    first: bool


@dataclass(frozen=True)
class Remote:
    """How one remote system is called, and what it promises; see `Effects.remote`."""

    pool: Pool
    send: Send
    reconcile: Reconcile | None
    honours_key: bool
    seconds: float
    retries: int
    on_unknown: OnUnknown | None = None

    async def once(self, call: Call) -> Receipt:
        """Do it unless it was done. What is raised is in `Effects.remote`."""
        receipt: Receipt | None = None
        try:
            async with self._alone(call) as alone:
                receipt = await self._once(call, alone=alone)
        except psycopg.Error:
            if receipt is None:  # else only the lock was lost
                raise
        return receipt

    async def _once(self, call: Call, *, alone: bool) -> Receipt:
        deadline, attempt = self._deadline(), uuid4()
        values = columns(call) | self._until() | {"attempt": attempt}
        async with self._entered(call) as conn:
            row = await fetch_one(conn, sql()["begin"], values)
            row = row or await claimed_before(conn, call)
        if row["attempt"] == attempt:
            return await self._send(call, _Turn(row=row, deadline=deadline, first=True))
        if not self.honours_key:
            row = await self._waited_for(row)
        if row["state"] == "done":
            return receipt_of(row)
        if not self.honours_key:
            if done := await self._asked(row):
                return await self._complete(call, row, done)
            if not alone:  # who began it may be asleep, and would send on waking
                await self._escalate(row)
        turn = await self._taken(call, row)
        return await self._send(call, turn) if turn else await self._done_meanwhile(row)

    @asynccontextmanager
    async def _alone(self, call: Call) -> AsyncIterator[bool]:
        """Whether no other process is at this call, be it asleep: asked where it decides."""
        if self.honours_key or self.reconcile is None:
            yield True
            return
        async with self._entered(call, 3 * self.seconds) as conn:
            row = await fetch_one(conn, sql()["alone"], {"same": call.same})
            yield bool(row and row["alone"])

    @asynccontextmanager
    async def _entered(self, call: Call, seconds: float = 0.0) -> AsyncIterator[Connection]:
        async with self.pool.connection() as conn, conn.transaction():
            await enter(conn, call, seconds)
            yield conn

    async def _waited_for(self, row: Row) -> Row:
        """The row when whoever began it is through, or should be."""
        while row["state"] == "begun" and row["remaining"] > 0:
            await asyncio.sleep(min(_PAUSE, row["remaining"]))
            async with self.pool.connection() as conn:
                found = await fetch_one(conn, sql()["row"], _address(row))
            if found is None:
                raise Unavailable  # it was not done, and may be tried anew
            row = found
        return row

    async def _done_meanwhile(self, row: Row) -> Receipt:
        async with self.pool.connection() as conn:
            found = await fetch_one(conn, sql()["row"], _address(row))
        if found is None or found["state"] != "done":  # somebody else goes on with it
            raise OutcomeUnknown
        return receipt_of(found)

    async def _taken(self, call: Call, row: Row) -> _Turn | None:
        deadline = self._deadline()
        values = _address(row) | self._until() | {"attempt": uuid4(), "before": row["attempt"]}
        values["keyed"] = self.honours_key
        async with self._entered(call) as conn:
            taken = await fetch_one(conn, sql()["take"], values)
        if taken is None:
            return None
        return _Turn(row=taken, deadline=deadline, first=not self.honours_key)

    async def _send(self, call: Call, turn: _Turn) -> Receipt:
        row, deadline = turn.row, turn.deadline
        await self._check_awake(turn)
        failure: Exception = OutcomeUnknown()
        for again in range(self.retries + 1):
            if again:
                await asyncio.sleep(_PAUSE * 2**again)
                deadline = self._deadline()
            try:
                async with asyncio.timeout_at(deadline):
                    done = await self.send(_key(row))
            except Refused:  # the remote's answer, also to a key that it has seen before
                await self._release(row)
                raise
            except _NOT_CONNECTED as error:
                if not again:
                    await self._nothing_sent(turn, error)
                failure = error
            except Exception as error:  # noqa: BLE001 - whatever broke, it may have been done
                failure = error
            else:
                return await self._complete(call, row, done)
            log.warning("no answer about effect %s (%s)", _key(row), type(failure).__name__)
        if self.honours_key:
            await self._escalate(row, failure)
        if found := await self._asked(row, failure):
            return await self._complete(call, row, found)
        await self._release(row)
        raise Unavailable from failure

    async def _check_awake(self, turn: _Turn) -> None:
        """Whoever slept until its turn was over must not call the remote any more."""
        if asyncio.get_running_loop().time() > turn.deadline:
            await self._nothing_sent(turn, Unavailable())

    async def _asked(self, row: Row, failure: Exception | None = None) -> Done | None:
        """What the remote says became of it; escalated when it cannot tell."""
        if self.reconcile is None:
            await self._escalate(row, failure)
        try:
            async with asyncio.timeout(self.seconds):
                return await self.reconcile(_key(row))
        except Exception as error:  # noqa: BLE001 - no answer, whatever the reason
            await self._escalate(row, error)

    async def _complete(self, call: Call, row: Row, done: Done) -> Receipt:
        """Write the receipt down, whoever owns the thread by now: it is a fact."""
        text, data = done
        values = _address(row) | {"text": text, "data": Jsonb(data), "attempt": row["attempt"]}
        values["keyed"] = self.honours_key
        for again in range(1, _RECORD_ATTEMPTS):
            try:
                return await self._recorded(call, row, values)
            except psycopg.OperationalError as error:
                log.warning("the receipt of %s cannot be written (%s)", _key(row), error)
                await asyncio.sleep(_PAUSE * 2**again)
        return await self._recorded(call, row, values)

    async def _recorded(self, call: Call, row: Row, values: Row) -> Receipt:
        async with self.pool.connection() as conn:
            completed = await fetch_one(conn, sql()["complete"], values)
            found = completed or await fetch_one(conn, sql()["row"], _address(row))
            if not completed and not (self.honours_key and found and found["state"] == "done"):
                await _contradict(conn, row)
                raise OutcomeUnknown
        async with self._entered(call):  # what was done is known; but does it still concern us?
            return receipt_of(found or values)

    async def _nothing_sent(self, turn: _Turn, error: Exception) -> NoReturn:
        if turn.first:
            await self._release(turn.row)
            raise error
        await self._escalate(turn.row, error)

    async def _release(self, row: Row) -> None:
        async with self.pool.connection() as conn:
            await conn.execute(sql()["release"], _address(row) | {"attempt": row["attempt"]})

    async def _escalate(self, row: Row, failure: Exception | None = None) -> NoReturn:
        """Leave it to a colleague; counted once."""
        values = _address(row) | {"attempt": row["attempt"]}
        async with self.pool.connection() as conn:
            counted = await fetch_one(conn, sql()["escalate"], values)
        if counted:
            log.error("effect %s: nobody knows whether it was done", _key(row))
            if self.on_unknown:
                self.on_unknown(row["tool"])
        raise OutcomeUnknown from failure

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.seconds

    def _until(self) -> dict[str, float]:
        return {"seconds": self.seconds + _GRACE_SECONDS}


async def _contradict(conn: Connection, row: Row) -> None:
    """It was done, though it was settled otherwise meanwhile: somebody has to know."""
    await record(
        conn,
        tenant=row["tenant"],
        actor="run",
        action="effect.contradicted",
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        detail={"call_id": row["call_id"], "tool": row["tool"]},
    )


def _address(row: Row) -> Row:
    return {"thread_id": row["thread_id"], "call_id": row["call_id"]}


def _key(row: Row) -> str:
    return f"{row['thread_id']}:{row['call_id']}"
