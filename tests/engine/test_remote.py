"""Effects on a remote system: whatever dies or sleeps in between, none is doubled or made up."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

import checkpoints
from engine.database import Pool, fetch_all, migrate
from engine.effects import Call, Effects, Receipt
from engine.errors import OutcomeUnknown, Refused, Unavailable
from tests.fakes.remote import Remote, open_remote

CALL = Call("shop", "t1", "r1", "c1", "pay", {"n": 1})
KINDS = ["keyed", "reconciled", "unkeyed"]

PROCESS = """
import asyncio, sys, time
import httpx
from engine.database import open_pool
from engine.effects import Call, Effects

dsn, url, kind, stop = sys.argv[1:]

async def send(key):
    if stop == "before":
        print("here", flush=True)
        time.sleep(1)  # asleep while the loop is, as a stopped process
    answer = httpx.post(url + "/do", headers={"Idempotency-Key": key}).json()
    if stop == "after":
        print("here", flush=True)
        time.sleep(60)
    return "Paid.", answer

async def ask(key):
    return None

async def main():
    async with open_pool(dsn, size=3) as pool:
        call = Call("shop", "t1", "r1", "c1", "pay", {"n": 1})
        how = {"honours_key": kind == "keyed", "reconcile": ask if kind == "reconciled" else None}
        try:
            print(await Effects(pool).remote(call, send, seconds=1, **how), flush=True)
        except Exception as error:
            print(repr(error), flush=True)

asyncio.run(main())
"""


@dataclass
class Desk:
    """The ledger, with a remote to write to."""

    effects: Effects
    remote: Remote
    client: httpx.AsyncClient
    unknown: list[str]

    async def do(self, kind: str, call: Call = CALL, **how: Any) -> Receipt:
        return await self.effects.remote(
            call,
            self.send,
            honours_key=kind == "keyed",
            reconcile=self.ask if kind == "reconciled" else None,
            **{"seconds": 1, **how},
        )

    async def send(self, key: str) -> tuple[str, dict[str, Any]]:
        response = await self.client.post("/do", headers={"Idempotency-Key": key})
        if response.status_code == 409:
            raise Refused(response.json()["detail"])
        response.raise_for_status()
        return "Paid.", response.json()

    async def ask(self, key: str) -> tuple[str, dict[str, Any]] | None:
        done = (await self.client.get(f"/done/{key}")).json()["done"]
        return ("Paid.", {"found": True}) if done else None

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.rows("effects order by call_id")]

    async def audit(self) -> list[str]:
        return [row["action"] for row in await self.rows("audit order by id")]

    async def rows(self, what: str) -> list[dict[str, Any]]:
        async with self.effects.pool.connection() as conn:
            return await fetch_all(conn, f"select * from frontdesk.{what}", {})  # noqa: S608

    async def own_thread(self, epoch: int) -> str:
        """A thread of our own tables whose owner has this epoch."""
        thread_id = uuid4()
        columns = "(thread_id, tenant, owner, epoch)"
        async with self.effects.pool.connection() as conn:
            await conn.execute(
                f"insert into frontdesk.threads {columns} values (%s, 'shop', 'me', %s)",  # noqa: S608
                (thread_id, epoch),
            )
        return str(thread_id)


@pytest.fixture
async def desk(pool: Pool) -> AsyncIterator[Desk]:
    await migrate(pool, "engine")
    unknown: list[str] = []
    async with (
        open_remote(Remote()) as remote,
        httpx.AsyncClient(base_url=remote.url) as client,
    ):
        yield Desk(Effects(pool, unknown.append), remote, client, unknown)


@pytest.fixture
def kind(request: pytest.FixtureRequest, desk: Desk) -> str:
    desk.remote.honours_key = request.param == "keyed"
    return str(request.param)


each_kind = pytest.mark.parametrize("kind", KINDS, indirect=True)


def started(desk: Desk, dsn: str, kind: str, stop: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, dsn, desk.remote.url, kind, stop]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return (await asyncio.to_thread(process.stdout.readline)).strip()


@each_kind
async def test_a_remote_effect_is_begun_before_it_is_sent_and_then_done(
    desk: Desk, kind: str
) -> None:
    seen: list[str] = []

    async def send(key: str) -> tuple[str, dict[str, Any]]:
        seen.append(key)
        assert await desk.states() == ["begun"]
        return await desk.send(key)

    receipt = await desk.effects.remote(CALL, send, honours_key=kind == "keyed")
    assert (receipt["key"], receipt["text"], receipt["data"]) == ("t1:c1", "Paid.", {"number": 1})
    assert await desk.do(kind) == receipt
    assert await desk.do(kind, replace(CALL, call_id="c2")) == receipt
    assert await desk.effects.receipts("t1") == [receipt]
    assert seen == desk.remote.done == ["t1:c1"]
    assert await desk.audit() == ["effect.done"]


@each_kind
async def test_what_certainly_was_not_done_leaves_nothing(desk: Desk, kind: str) -> None:
    desk.remote.script = ["refuse"]
    with pytest.raises(Refused, match="not today"):
        await desk.do(kind)
    assert await desk.states() == []
    nobody = httpx.AsyncClient(base_url="http://127.0.0.1:1")
    async with nobody:
        with pytest.raises(httpx.ConnectError):
            await Desk(desk.effects, desk.remote, nobody, []).do(kind)
    assert await desk.states() == []
    assert (await desk.do(kind))["text"] == "Paid."


@pytest.mark.parametrize("broken", ["drop", "hang"])
@each_kind
async def test_a_lost_answer_is_asked_for_again_or_left_to_a_colleague(
    desk: Desk, kind: str, broken: Any
) -> None:
    desk.remote.script = [broken]
    if kind == "unkeyed":
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="colleague has to check"):
                await desk.do(kind)
        assert (desk.unknown, await desk.states()) == (["pay"], ["unknown"])
        assert await desk.audit() == ["effect.unknown"]
    else:
        assert (await desk.do(kind, retries=1))["text"] == "Paid."
        assert await desk.states() == ["done"]
    assert desk.remote.done == ["t1:c1"]


async def test_what_a_remote_says_it_has_not_done_may_be_tried_anew(desk: Desk) -> None:
    desk.remote.script = ["drop before"]
    with pytest.raises(Unavailable):
        await desk.do("reconciled")
    assert await desk.states() == []
    assert (await desk.do("reconciled"))["text"] == "Paid."


async def test_a_remote_that_cannot_be_asked_either_is_left_to_a_colleague(desk: Desk) -> None:
    async def fail(key: str) -> None:
        raise httpx.ReadTimeout("no answer")

    with pytest.raises(OutcomeUnknown):
        await desk.effects.remote(CALL, fail, honours_key=False, reconcile=fail)
    assert await desk.states() == ["unknown"]
    # Asked later it may know.
    assert (await desk.do("reconciled"))["text"] == "Paid."


async def test_a_keyed_remote_that_never_answers_is_left_to_a_colleague(desk: Desk) -> None:
    desk.remote.script = ["fail", "fail", "fail"]
    with pytest.raises(OutcomeUnknown):
        await desk.do("keyed", retries=2)
    assert (len(desk.remote.requests), desk.unknown) == (3, ["pay"])
    assert (await desk.do("keyed"))["text"] == "Paid."


async def test_the_same_wish_is_not_sent_while_an_outcome_is_open(desk: Desk) -> None:
    desk.remote.script = ["drop"]
    with pytest.raises(OutcomeUnknown):
        await desk.do("unkeyed")
    with pytest.raises(OutcomeUnknown):
        await desk.do("unkeyed", replace(CALL, run_id="r2", call_id="c2"))
    await desk.do("unkeyed", replace(CALL, run_id="r2", call_id="c3", args={"n": 2}))
    assert desk.remote.done == ["t1:c1", "t1:c3"]


@each_kind
async def test_two_at_once_are_one_effect(desk: Desk, kind: str) -> None:
    desk.remote.honours_key = True
    calls = [CALL, CALL, replace(CALL, call_id="c2")]
    receipts = await asyncio.gather(*(desk.do(kind, call) for call in calls))
    assert receipts[0] == receipts[1] == receipts[2]
    assert len(desk.remote.done) == 1
    if kind != "keyed":
        assert [request.method for request in desk.remote.requests].count("POST") == 1


@pytest.mark.parametrize("stop", ["before", "after"])
@each_kind
async def test_after_a_kill_the_successor_does_what_the_remote_allows(
    desk: Desk, kind: str, stop: str, database_url: str
) -> None:
    with started(desk, database_url, kind, stop) as process:
        assert await line(process) == "here"
        process.send_signal(signal.SIGKILL)
    assert await desk.states() == ["begun"]
    if kind == "unkeyed":
        with pytest.raises(OutcomeUnknown):
            await desk.do(kind)
        assert desk.unknown == ["pay"]
        assert desk.remote.done == (["t1:c1"] if stop == "after" else [])
        return
    receipt = await desk.do(kind)
    assert receipt["data"].get("found") == (
        True if (kind, stop) == ("reconciled", "after") else None
    )
    assert desk.remote.done == ["t1:c1"]
    assert (await desk.states(), desk.unknown) == (["done"], [])


@each_kind
async def test_a_sleeper_and_its_successor_are_one_effect(
    desk: Desk, kind: str, database_url: str
) -> None:
    with started(desk, database_url, kind, "before") as process:
        try:
            assert await line(process) == "here"
            process.send_signal(signal.SIGSTOP)
            if kind == "keyed":
                receipt = await desk.do(kind)
                assert receipt["text"] == "Paid."
            else:
                with pytest.raises(OutcomeUnknown):
                    await desk.do(kind)
                assert desk.remote.done == []
        finally:
            process.send_signal(signal.SIGCONT)
        assert "Paid." in await line(process)
    assert desk.remote.done == ["t1:c1"]
    assert await desk.states() == ["done"]


async def test_whoever_slept_past_its_turn_sends_nothing(desk: Desk) -> None:
    with pytest.raises(Unavailable):
        await desk.do("unkeyed", seconds=-1)
    assert (desk.remote.requests, await desk.states()) == ([], [])


async def test_a_thread_with_another_owner_is_written_by_nobody_else(
    desk: Desk,
) -> None:
    late = replace(CALL, thread_id=await desk.own_thread(7), epoch=6)
    with pytest.raises(checkpoints.Superseded):
        await desk.do("keyed", late)

    async def work(conn: Any) -> tuple[str, dict[str, Any]]:
        return "Done.", {}

    with pytest.raises(checkpoints.Superseded):
        await desk.effects.once(late, work)
    assert (desk.remote.requests, await desk.states()) == ([], [])
    await desk.effects.once(replace(late, epoch=7), work)
    await desk.do("keyed", replace(late, epoch=7, call_id="c2", tool="send"))
    await desk.do("keyed", replace(CALL, epoch=3))  # not one of our threads: nobody owns it


@pytest.mark.parametrize("remote", [False, True])
async def test_an_owner_that_changes_during_the_work_stops_it_unless_it_is_a_fact(
    desk: Desk, remote: bool
) -> None:
    async def work(_: Any) -> tuple[str, dict[str, Any]]:
        async with desk.effects.pool.connection() as conn:
            await conn.execute("update frontdesk.threads set epoch = epoch + 1")
        return "Done.", {}

    call = replace(CALL, thread_id=await desk.own_thread(7), epoch=7)
    how = partial(desk.effects.remote, honours_key=False) if remote else desk.effects.once
    with pytest.raises(checkpoints.Superseded):
        await how(call, work)
    assert await desk.states() == (["done"] if remote else [])
