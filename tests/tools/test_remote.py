"""Tools that write to a system which cannot share our transaction."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langchain_core.messages import ToolCall

import checkpoints
from engine.database import fetch_all
from engine.errors import Refused
from tests.fakes.remote import Remote, open_remote
from tools import Result, Run, Tool
from tools._runtime import Toolbox


@dataclass(frozen=True)
class Keyed(Tool):
    """Do something elsewhere."""

    http: httpx.AsyncClient
    write = True
    remote = "keyed"
    timeout = timedelta(seconds=1)
    retries = 2

    async def __call__(self, amount: int, run: Run) -> Result:
        key = {"Idempotency-Key": run.idempotency_key}
        response = await self.http.post("/do", headers=key, json={"amount": amount})
        if response.status_code == 409:
            raise Refused("The system does not want to.")
        response.raise_for_status()
        return Result(f"Sent {amount}.", response.json())

    async def preview(self, run: Run, **args: Any) -> Result:
        return Result(f"Send {args['amount']}")


@dataclass(frozen=True)
class Unkeyed(Keyed):
    """Do something elsewhere, hardly."""

    remote = "unkeyed"


@dataclass(frozen=True)
class Asked(Unkeyed):
    """Do something elsewhere, and look."""

    async def reconcile(self, run: Run, **args: Any) -> Result | None:
        found = (await self.http.get(f"/done/{run.idempotency_key}")).json()
        return Result(f"Found {args['amount']}.") if found["done"] else None


@dataclass
class Far:
    toolbox: Toolbox
    remote: Remote
    unknown: list[str]


@pytest.fixture
async def far(shop: Any) -> AsyncIterator[Far]:
    unknown: list[str] = []
    async with (
        open_remote(Remote()) as remote,
        httpx.AsyncClient(base_url=remote.url) as http,
    ):
        tools = {"keyed": Keyed(http), "unkeyed": Unkeyed(http), "asked": Asked(http)}
        yield Far(Toolbox(tools, shop.pool, shop.identities, unknown.append), remote, unknown)


def call(name: str) -> ToolCall:
    return ToolCall(name=name, args={"amount": 3}, id="call-1", type="tool_call")


async def test_it_is_sent_with_its_key_and_leaves_a_receipt(shop: Any, far: Far) -> None:
    run = shop.run()
    assert (await far.toolbox.preview(call("keyed"), run)).text == "Send 3"
    assert far.remote.requests == []
    outcome = await far.toolbox.invoke(call("keyed"), run)
    assert outcome.result
    assert outcome.receipt
    assert (outcome.result.text, outcome.receipt["key"]) == ("Sent 3.", run.idempotency_key)
    assert far.remote.done == [run.idempotency_key]
    again = await far.toolbox.invoke(call("keyed"), replace(run, run_id="resumed"))
    assert again == outcome


async def test_a_lost_answer_is_found_again_where_that_is_possible(shop: Any, far: Far) -> None:
    far.remote.script = ["drop", "drop"]
    keyed = await far.toolbox.invoke(call("keyed"), shop.run())
    assert keyed.result
    assert keyed.result.text == "Sent 3."
    far.remote.script = ["drop"]
    asked = await far.toolbox.invoke(call("asked"), shop.run())
    assert asked.result
    assert asked.result.text == "Found 3."
    assert len(far.remote.done) == 2


async def test_an_unknown_outcome_is_said_counted_and_written_down(shop: Any, far: Far) -> None:
    far.remote.script, far.remote.honours_key = ["drop"], False
    run = shop.run()
    outcome = await far.toolbox.invoke(call("unkeyed"), run)
    assert outcome.error
    assert "A colleague will check" in outcome.error
    assert (outcome.receipt, far.unknown) == (None, ["unkeyed"])
    await far.toolbox.invoke(call("unkeyed"), shop.run())  # the customer insists
    assert (len(far.remote.done), far.unknown) == (1, ["unkeyed"])
    sql = "select action, run_id, detail from frontdesk.audit where thread_id = %(thread)s"
    async with shop.pool.connection() as conn:
        rows = await fetch_all(conn, sql, {"thread": run.thread_id})
    assert rows == [
        {
            "action": "effect.unknown",
            "run_id": run.run_id,
            "detail": {"call_id": run.call_id, "tool": "unkeyed"},
        }
    ]


async def test_what_was_not_done_can_be_tried_later(shop: Any, far: Far) -> None:
    far.remote.script = ["refuse"]
    refused = await far.toolbox.invoke(call("keyed"), shop.run())
    assert refused.error == "The system does not want to."
    far.remote.script = ["drop before"]
    away = await far.toolbox.invoke(call("asked"), shop.run())
    assert away.error
    assert "try again later" in away.error
    assert (await far.toolbox.invoke(call("asked"), shop.run())).result


@pytest.mark.parametrize("name", ["keyed", "cancel_order"])
async def test_a_run_that_lost_its_thread_writes_nothing(shop: Any, far: Far, name: str) -> None:
    thread_id = str(uuid4())
    async with shop.pool.connection() as conn:
        await conn.execute(
            "insert into frontdesk.threads (thread_id, tenant, owner, epoch) "
            "values (%s, %s, '', 9)",
            (thread_id, shop.tenant),
        )
    late = replace(shop.run(thread_id=thread_id), epoch=8)
    before = await shop.state()
    toolbox = replace(far.toolbox, tools={**far.toolbox.tools, **shop.toolbox.tools})
    args = {"order_id": "#W1000001", "reason": "no longer needed"}
    write = {**call(name), "args": args if name == "cancel_order" else {"amount": 3}}
    with pytest.raises(checkpoints.Superseded):
        await toolbox.invoke(ToolCall(**write), late)
    assert far.remote.requests == []
    assert await shop.state() == before
