import asyncio
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from engine.database import Pool, migrate
from engine.effects import Call, Effects
from engine.errors import Refused

CALL = Call(
    tenant="shop", thread_id="t1", run_id="r1", call_id="c1", tool="pay", args={"to": "ann", "n": 1}
)

KILLED = """
import asyncio, sys
from engine.database import open_pool
from engine.effects import Call, Effects

async def work(conn):
    await conn.execute("insert into deeds values ('paid by the killed process')")
    print("worked", flush=True)
    await asyncio.sleep(60)

async def main():
    async with open_pool(sys.argv[1], size=1) as pool:
        call = Call(tenant="shop", thread_id="t1", run_id="r1", call_id="c1", tool="pay",
                    args={"to": "ann", "n": 1})
        await Effects(pool).once(call, work, seconds=float(sys.argv[2]))

asyncio.run(main())
"""


@pytest.fixture
async def effects(pool: Pool) -> Effects:
    await migrate(pool, "engine")
    async with pool.connection() as conn:
        await conn.execute("create table deeds (what text)")
    return Effects(pool)


async def pay(conn):
    await conn.execute("insert into deeds values ('paid')")
    return "Paid 1 to ann.", {"n": 1}


async def deeds(effects: Effects) -> list[str]:
    async with effects.pool.connection() as conn:
        rows = await conn.execute("select what from deeds")
        return [row["what"] async for row in rows]


async def test_an_effect_leaves_a_receipt_with_what_was_done(effects: Effects) -> None:
    receipt = await effects.once(CALL, pay)
    assert receipt["key"] == "t1:c1"
    assert receipt["tool"] == "pay"
    assert receipt["args"] == CALL.args
    assert (receipt["text"], receipt["data"]) == ("Paid 1 to ann.", {"n": 1})
    assert await effects.receipts("t1") == [receipt]
    assert await effects.receipts("another thread") == []
    assert await effects.receipts("t1", CALL.tenant) == [receipt]
    assert await effects.receipts("t1", "another tenant") == []


async def test_the_same_key_again_is_the_same_effect_in_whatever_run(effects: Effects) -> None:
    first = await effects.once(CALL, pay)
    again = await effects.once(replace(CALL, run_id="resumed"), pay)
    assert again == first
    assert await deeds(effects) == ["paid"]


async def test_the_same_call_twice_in_a_run_is_one_effect(effects: Effects) -> None:
    first = await effects.once(CALL, pay)
    again = await effects.once(replace(CALL, call_id="c2", args={"n": 1, "to": "ann"}), pay)
    assert again == first
    assert await deeds(effects) == ["paid"]


async def test_other_arguments_and_other_runs_are_other_effects(effects: Effects) -> None:
    await effects.once(CALL, pay)
    await effects.once(replace(CALL, call_id="c2", args={"to": "bob", "n": 1}), pay)
    await effects.once(replace(CALL, call_id="c3", run_id="r2"), pay)
    assert len(await deeds(effects)) == 3
    assert [receipt["key"] for receipt in await effects.receipts("t1")] == [
        "t1:c1", "t1:c2", "t1:c3",
    ]  # fmt: skip


@pytest.mark.parametrize("other", [{"args": {"to": "eve", "n": 1}}, {"tool": "pay_more"}])
async def test_a_known_key_with_another_call_is_refused(effects: Effects, other) -> None:
    await effects.once(CALL, pay)
    with pytest.raises(Refused, match="already used for pay"):
        await effects.once(replace(CALL, **other), pay)
    assert await deeds(effects) == ["paid"]


async def test_work_that_fails_leaves_nothing_and_may_be_done_later(effects: Effects) -> None:
    async def fail(conn):
        await pay(conn)
        raise Refused("no money left")

    with pytest.raises(Refused, match="no money left"):
        await effects.once(CALL, fail)
    assert await deeds(effects) == []
    assert await effects.receipts("t1") == []
    await effects.once(CALL, pay)
    assert await deeds(effects) == ["paid"]


@pytest.mark.parametrize("changed", [{}, {"call_id": "c2"}], ids=["same key", "same run"])
async def test_two_at_once_have_one_effect_and_one_receipt(effects: Effects, changed) -> None:
    started = asyncio.Event()

    async def slowly(conn):
        started.set()
        done = await pay(conn)
        await asyncio.sleep(0.2)
        return done

    async def second():
        await started.wait()
        return await effects.once(replace(CALL, **changed), pay)

    first, other = await asyncio.gather(effects.once(CALL, slowly), second())
    assert first == other
    assert await deeds(effects) == ["paid"]


async def test_the_second_takes_over_when_the_first_fails(effects: Effects) -> None:
    started = asyncio.Event()

    async def fail(conn):
        started.set()
        await asyncio.sleep(0.2)
        raise Refused("changed its mind")

    async def second():
        await started.wait()
        return await effects.once(CALL, pay)

    first, other = await asyncio.gather(effects.once(CALL, fail), second(), return_exceptions=True)
    assert isinstance(first, Refused)
    assert other["text"] == "Paid 1 to ann."
    assert await deeds(effects) == ["paid"]


async def test_the_last_receipt_of_the_same_call_on_a_thread_is_found(effects: Effects) -> None:
    later = replace(CALL, call_id="c2", run_id="r2")
    assert await effects.earlier(later) is None
    await effects.once(CALL, pay)
    repeated = await effects.once(later, pay)
    assert await effects.earlier(replace(CALL, call_id="c3", run_id="r3")) == repeated
    assert await effects.earlier(replace(later, thread_id="t2")) is None


async def test_a_process_killed_between_claim_and_commit_had_no_effect(
    effects: Effects, database_url: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, database_url, "30"], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert await asyncio.to_thread(process.stdout.readline) == "worked\n"
        process.send_signal(signal.SIGKILL)
    assert await effects.receipts("t1") == []
    receipt = await asyncio.wait_for(effects.once(CALL, pay), 10)
    assert await deeds(effects) == ["paid"]
    assert await effects.receipts("t1") == [receipt]


async def test_a_process_that_sleeps_in_its_work_keeps_nobody_waiting(
    effects: Effects, database_url: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, database_url, "-2"], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert await asyncio.to_thread(process.stdout.readline) == "worked\n"
            process.send_signal(signal.SIGSTOP)
            await asyncio.wait_for(effects.once(CALL, pay), 30)
        finally:
            process.send_signal(signal.SIGKILL)
    assert await deeds(effects) == ["paid"]
