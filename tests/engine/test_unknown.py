import asyncio
from dataclasses import replace
from typing import Any

import pytest

from engine.caller import Caller
from engine.database import Pool, fetch_all
from engine.effects import Call, Effects
from engine.errors import NotFound, OutcomeUnknown
from engine.runs import RunRequest
from engine.runtime import Engine
from engine.unknown import Unknowns

CALL = Call("shop", "t1", "r1", "c1", "pay", {"n": 1})


@pytest.fixture
async def unknowns(migrated: Pool) -> Unknowns:
    return Unknowns(migrated)


async def lost(key: str) -> Any:
    raise ConnectionResetError


async def sent(key: str) -> Any:
    return f"Paid under {key}.", {}


async def audit(pool: Pool) -> list[tuple[str, str, Any]]:
    async with pool.connection() as conn:
        rows = await fetch_all(
            conn,
            "select actor, action, detail from frontdesk.audit where action like 'effect.%%' "
            "order by id",
            {},
        )
    return [(row["actor"], row["action"], row["detail"].get("happened")) for row in rows]


async def test_an_open_outcome_is_listed_until_a_colleague_settles_it(unknowns: Unknowns) -> None:
    ledger = Effects(unknowns.pool)
    for call in (CALL, replace(CALL, call_id="c2", args={"n": 2})):
        with pytest.raises(OutcomeUnknown):
            await ledger.remote(call, lost, honours_key=False)
    assert [(one.call_id, one.tool, one.args) for one in await unknowns.listed()] == [
        ("c1", "pay", {"n": 1}),
        ("c2", "pay", {"n": 2}),
    ]
    await unknowns.settle("t1", "c1", "ann", happened=True)
    await unknowns.settle("t1", "c2", "ann", happened=False)
    assert await unknowns.listed() == []
    receipt = await ledger.remote(CALL, lost, honours_key=False)
    assert receipt["text"] == "Done, as a colleague has found out."
    again = await ledger.remote(replace(CALL, call_id="c2", args={"n": 2}), sent, honours_key=False)
    assert again["text"] == "Paid under t1:c2."
    assert await audit(unknowns.pool) == [
        ("run", "effect.unknown", None),
        ("run", "effect.unknown", None),
        ("ann", "effect.settled", True),
        ("ann", "effect.settled", False),
        ("run", "effect.done", None),
    ]


async def test_what_is_not_open_cannot_be_settled(unknowns: Unknowns) -> None:
    await Effects(unknowns.pool).remote(CALL, sent, honours_key=False)
    for happened in (True, False):
        with pytest.raises(NotFound, match="t1:c1"):
            await unknowns.settle("t1", "c1", "ann", happened=happened)
    assert len(await Effects(unknowns.pool).receipts("t1")) == 1


async def test_what_turns_out_otherwise_than_it_was_settled_is_written_down(
    unknowns: Unknowns,
) -> None:
    async def late(key: str) -> Any:
        assert await unknowns.escalate_overdue(-60) == ["pay"]
        await unknowns.settle("t1", "c1", "ann", happened=False)
        return "Paid after all.", {}

    with pytest.raises(OutcomeUnknown):
        await Effects(unknowns.pool).remote(CALL, late, honours_key=False)
    assert (await audit(unknowns.pool))[-1] == ("run", "effect.contradicted", None)


async def test_what_was_begun_by_a_run_that_is_over_is_found(
    engine: Engine, me: Caller, unknowns: Unknowns
) -> None:
    thread = await engine.threads.create(me)
    request = RunRequest("work", input={"mode": "slow", "secs": 30})
    run = await engine.runs.create(me, thread.thread_id, request)
    call = replace(CALL, thread_id=str(thread.thread_id), run_id=str(run.run_id))
    began = asyncio.Event()

    async def hang(key: str) -> Any:
        began.set()
        await asyncio.sleep(60)

    sending = asyncio.create_task(
        Effects(unknowns.pool).remote(call, hang, honours_key=True, seconds=30)
    )
    await began.wait()
    sending.cancel()
    await asyncio.wait({sending})
    assert await unknowns.escalate_overdue(-60) == []  # the run may go on with it
    await engine.runs.cancel(me, thread.thread_id, run.run_id)
    async with asyncio.timeout(20):
        while not await unknowns.escalate_overdue(-60):
            await asyncio.sleep(0.1)
    assert [one.tool for one in await unknowns.listed()] == ["pay"]
