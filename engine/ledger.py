"""Rows of the effect ledger: what they are for, whose they are, and their receipts."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg.types.json import Jsonb
from typing_extensions import TypedDict

import checkpoints
from engine.database import Connection, fetch_one, statements
from engine.errors import Refused
from engine.ids import parse_uuid

_GRACE_SECONDS = 3.0


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
    """A write that somebody wants done, with arguments as plain JSON.

    `epoch` is that of the claim under which the run works; None where nobody claims runs.
    """

    tenant: str
    thread_id: str
    run_id: str
    call_id: str
    tool: str
    args: dict[str, Any]
    epoch: int | None = None

    @property
    def key(self) -> str:
        """The same for every attempt."""
        return f"{self.thread_id}:{self.call_id}"

    @property
    def same(self) -> str:
        """Equal for calls of the same tool with the same arguments on a thread."""
        return f"{self.thread_id}:{self.tool}:{self.digest}"

    @property
    def digest(self) -> str:
        """Equal for equal arguments, in whatever order they come."""
        text = json.dumps(self.args, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@cache
def sql() -> Mapping[str, str]:
    """The ledger's statements by name."""
    return statements("engine", "effects.sql")


async def enter(conn: Connection, call: Call, seconds: float) -> None:
    """Begin a transaction of the ledger: idle for at most `seconds` and a little.

    Raises `checkpoints.Superseded` when the thread has another owner already.
    """
    idle = str(round((seconds + _GRACE_SECONDS) * 1000))
    row = await fetch_one(
        conn, sql()["enter"], {"idle": idle, "thread": parse_uuid(call.thread_id)}
    )
    check(call, row["epoch"] if row else None)


async def hold(conn: Connection, call: Call) -> None:
    """Keep the thread's owner until the commit. Raises `checkpoints.Superseded`."""
    if call.epoch is not None:
        row = await fetch_one(conn, sql()["hold_epoch"], {"thread": parse_uuid(call.thread_id)})
        check(call, row["epoch"] if row else None)


def check(call: Call, epoch: int | None) -> None:
    """Raise `checkpoints.Superseded` unless the call's epoch is that of its thread.

    A thread that our tables do not know has no owner.
    """
    if None not in (call.epoch, epoch) and call.epoch != epoch:
        raise checkpoints.Superseded


async def claimed_before(conn: Connection, call: Call) -> dict[str, Any]:
    """The row that is in the way of this call. Raises `Refused` when it is that of another."""
    row = await fetch_one(conn, sql()["claimed_before"], columns(call))
    if row is None:
        raise RuntimeError(f"the row that blocked {call.key} is gone")
    if (row["tool"], row["digest"]) != (call.tool, call.digest):
        raise Refused(
            f"Tool call {call.call_id} was already used for {row['tool']} with other "
            "arguments: nothing was changed."
        )
    return row


def columns(call: Call) -> dict[str, Any]:
    """The call as the ledger's statements take it."""
    return {
        "tenant": call.tenant,
        "thread_id": call.thread_id,
        "run_id": call.run_id,
        "call_id": call.call_id,
        "tool": call.tool,
        "args": Jsonb(call.args),
        "digest": call.digest,
    }


def receipt_of(row: Mapping[str, Any]) -> Receipt:
    """The receipt in a row that is done."""
    return Receipt(
        key=f"{row['thread_id']}:{row['call_id']}",
        tool=row["tool"],
        args=row["args"],
        text=row["text"],
        data=row["data"],
        at=row["at"].isoformat(),
    )
