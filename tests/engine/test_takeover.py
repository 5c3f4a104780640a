"""Workers that die or are told to stop: real processes, real signals."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.database import Pool
from tests.fakes.graphs import STEPS_TABLE
from tests.sse import live


@contextmanager
def process(
    database_url: str, redis_url: str, port: int, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    env = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "FRONTDESK_LEASE_SECONDS": "1",
        "FRONTDESK_DRAIN_SECONDS": "0.2",
        "FRONTDESK_MAX_LAG_SECONDS": "30",
        **more,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.serving", str(port)], env=env, stderr=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()


async def ready(port: int) -> LangGraphClient:
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient() as client, asyncio.timeout(30):
        while True:
            try:
                (await client.get(f"{url}/ok")).raise_for_status()
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return get_client(url=url)


async def at_rest(port: int) -> None:
    """Until the process has no run at work."""
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        while (
            "frontdesk_slots_busy 0.0"
            not in (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        ):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def two_processes(
    database_url: str, redis_url: str, ports: tuple[int, int], **more: str
) -> AsyncIterator[tuple[subprocess.Popen[bytes], LangGraphClient, LangGraphClient]]:
    """The process that gets the runs, its client, and the client of one that waits beside it."""
    with (
        process(database_url, redis_url, ports[0], **more) as first,
        process(database_url, redis_url, ports[1], **more),
    ):
        mine, other = await ready(ports[0]), await ready(ports[1])
        async with mine, other:
            yield first, mine, other


@pytest.fixture
async def steps(pool: Pool) -> Pool:
    async with pool.connection() as conn:
        await conn.execute(STEPS_TABLE)
    return pool


@pytest.fixture
def ports(unused_tcp_port_factory: Any) -> tuple[int, int]:
    return unused_tcp_port_factory(), unused_tcp_port_factory()


async def told(pool: Pool, what: str) -> list[int]:
    async with pool.connection() as conn:
        cursor = await conn.execute("select step from steps where what = %s order by 1", (what,))
        return [row["step"] async for row in cursor]


async def begun(pool: Pool, step: int) -> None:
    async with asyncio.timeout(20):
        while step not in await told(pool, "began"):
            await asyncio.sleep(0.02)


async def test_a_run_survives_the_kill_of_its_worker(
    database_url: str, redis_url: str, ports: tuple[int, int], steps: Pool
) -> None:
    async with two_processes(database_url, redis_url, ports) as (first, mine, other):
        thread: Any = await mine.threads.create()
        tid = thread["thread_id"]
        asked: Any = {"stream_mode": ["updates"], "stream_resumable": True, "durability": "sync"}
        run: Any = await mine.runs.create(tid, "record", input={"secs": 0.6}, **asked)
        queued: Any = await mine.runs.create(tid, "work", input={"mode": "done"})
        await begun(steps, 2)
        first.kill()
        follow = other.runs.join_stream(tid, run["run_id"], last_event_id="-1")
        parts = [part async for part in follow]
        attempts = [part.data["attempt"] for part in parts if part.event == "metadata"]
        updates = [name for part in parts if part.event == "updates" for name in part.data]
        assert attempts == [1, 2]
        assert updates == [f"step{number}" for number in range(5)]
        assert (await other.runs.get(tid, run["run_id"]))["status"] == "success"
        assert await told(steps, "ended") == [0, 1, 2, 3, 4]
        assert await told(steps, "began") == [0, 1, 2, 2, 3, 4]
        await other.runs.join(tid, queued["run_id"])
        statuses = [one["status"] for one in await other.runs.list(tid)]
        assert statuses == ["success", "success"]


async def heard(url: str, since: int) -> AsyncGenerator[dict[str, Any]]:
    """A thread's protocol events, for as long as the server lives."""
    body = {"channels": ["lifecycle", "updates"], "since": since}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{url}/stream/events", json=body) as response,
    ):
        with suppress(httpx.TransportError):
            async for event in live(response):
                yield json.loads(event["data"])


async def test_an_event_stream_goes_on_elsewhere_when_its_server_is_killed(
    database_url: str, redis_url: str, ports: tuple[int, int], steps: Pool
) -> None:
    async with two_processes(database_url, redis_url, ports) as (first, _, _):
        tid = uuid4()
        here, there = (f"http://127.0.0.1:{port}/threads/{tid}" for port in ports)
        params = {"assistant_id": "record", "input": {"secs": 0.6}}
        start = {"id": 1, "method": "run.start", "params": params}
        async with httpx.AsyncClient() as client:
            reply = (await client.post(f"{here}/commands", json=start)).json()
        events: list[dict[str, Any]] = []
        async for event in heard(here, 0):
            events.append(event)
            if event["params"].get("node") == "step1":
                await begun(steps, 2)
                await asyncio.sleep(0.2)  # what was told has been stored
                first.kill()
        async with asyncio.timeout(30), aclosing(heard(there, events[-1]["seq"])) as rest:
            async for event in rest:
                events.append(event)
                if event["method"] == "lifecycle":
                    break
    nodes = [event["params"]["node"] for event in events if event["method"] == "updates"]
    assert nodes == [f"step{number}" for number in range(5)]
    assert len({event["event_id"] for event in events}) == len(events)
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert events[-1]["event_id"] == f"synth:{reply['result']['run_id']}:lc||completed"


@pytest.mark.parametrize("kind", ["tiered", "redis"])
async def test_a_paused_worker_wakes_up_and_changes_nothing(
    database_url: str, redis_url: str, ports: tuple[int, int], steps: Pool, kind: str
) -> None:
    two = two_processes(database_url, redis_url, ports, FRONTDESK_CHECKPOINTER=kind)
    async with two as (first, mine, other):
        thread: Any = await mine.threads.create()
        tid = thread["thread_id"]
        run: Any = await mine.runs.create(tid, "record", input={"secs": 0.3})
        await begun(steps, 2)
        first.send_signal(signal.SIGSTOP)
        values: Any = await other.runs.join(tid, run["run_id"])
        assert values["steps"] == [0, 1, 2, 3, 4]
        before = await other.threads.get_history(tid, limit=100)
        first.send_signal(signal.SIGCONT)
        await at_rest(ports[0])  # it has seen that the run is not its own any more, or has ended it
        again: Any = await mine.runs.wait(tid, "record", input={"secs": 0})
        assert again["steps"] == [0, 1, 2, 3, 4] * 2
        after = await mine.threads.get_history(tid, limit=100)
        assert after[-len(before) :] == before
        ids = [state["checkpoint"]["checkpoint_id"] for state in after]
        parents = [(state["parent_checkpoint"] or {}).get("checkpoint_id") for state in after]
        assert parents == [*ids[1:], None]
        assert (await other.runs.get(tid, run["run_id"]))["status"] == "success"


@pytest.mark.long
async def test_a_worker_that_is_told_to_stop_hands_its_run_over(
    database_url: str, redis_url: str, ports: tuple[int, int], steps: Pool
) -> None:
    async with two_processes(database_url, redis_url, ports) as (first, mine, other):
        thread: Any = await mine.threads.create()
        tid = thread["thread_id"]
        run: Any = await mine.runs.create(tid, "record", input={"secs": 0.5})
        await begun(steps, 1)
        first.terminate()
        values: Any = await other.runs.join(tid, run["run_id"])
        assert values["steps"] == [0, 1, 2, 3, 4]
        assert await asyncio.to_thread(first.wait, 10) in {0, -signal.SIGTERM}
        async with steps.connection() as conn:
            cursor = await conn.execute("select attempt, crashes from frontdesk.runs")
            assert await cursor.fetchall() == [{"attempt": 2, "crashes": 0}]
