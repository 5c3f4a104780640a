"""Streams over what Redis has kept, and what it has not."""

from contextlib import aclosing
from typing import Any
from uuid import UUID

import ormsgpack
import pytest
import redis.asyncio

from engine.caller import Caller
from engine.claims import Run
from engine.ids import new_id
from engine.protocol.translate import Told
from engine.runs import RunRequest
from engine.runtime import Engine

ENDS = ("lc||completed", "lc||failed", "lc||interrupted")
MODES = ("values", "updates", "tasks", "checkpoints")


async def ran(engine: Engine, me: Caller, graph: str, asked: Any, thread_id: UUID) -> Run:
    request = RunRequest(
        graph,
        input=asked,
        stream_mode=MODES,
        stream_resumable=True,
        create_thread=True,
        event_streaming=True,
    )
    run = await engine.runs.create(me, thread_id, request)
    async for _ in engine.watch.from_start(me, run):
        pass
    return run


async def past(engine: Engine, me: Caller, thread_id: UUID) -> list[Told]:
    """What a stream tells before it falls silent."""
    found: list[Told] = []
    async with aclosing(engine.streams.follow(me, thread_id)) as stream:
        async for batch in stream:
            found += batch
            if not batch or batch[-1].event_id.endswith(ENDS):
                break
    return found


async def entries(redis: redis.asyncio.Redis, thread_id: UUID) -> list[Any]:
    return list(await redis.xrange(f"frontdesk:events:{{{thread_id}}}"))


async def test_a_shortened_past_is_told_under_the_same_names_and_no_smaller_numbers(
    engine: Engine, me: Caller, redis: redis.asyncio.Redis
) -> None:
    thread_id = new_id()
    await ran(engine, me, "work", {"mode": "slow", "secs": 0.1}, thread_id)
    whole = await past(engine, me, thread_id)
    assert [told.seq for told in whole] == list(range(1, len(whole) + 1))
    stored = await entries(redis, thread_id)
    assert len(stored) > 2
    lost = [key for key, _ in stored[: max(2, len(stored) // 2)]]
    await redis.xdel(f"frontdesk:events:{{{thread_id}}}", *lost)
    rest = await past(engine, me, thread_id)
    numbers = {told.event_id: told.seq for told in whole}
    assert 0 < len(rest) < len(whole)
    assert all(told.seq >= numbers[told.event_id] for told in rest)
    assert (rest[0].data["event"], rest[-1].data["event"]) == ("running", "completed")


async def test_what_waits_is_told_after_the_events_are_gone(
    engine: Engine, me: Caller, redis: redis.asyncio.Redis
) -> None:
    thread_id = new_id()
    await ran(engine, me, "approval", {"topic": "x"}, thread_id)
    whole = await past(engine, me, thread_id)
    await redis.delete(f"frontdesk:events:{{{thread_id}}}")
    left = await past(engine, me, thread_id)
    ends = [told for told in whole if told.method in {"lifecycle", "input.requested"}]
    assert [(told.event_id, told.data) for told in left] == [
        (told.event_id, told.data) for told in ends
    ]
    assert [told.method for told in left] == ["lifecycle", "input.requested", "lifecycle"]
    assert left[0].seq > whole[-1].seq
    await ran(engine, me, "work", {"mode": "done"}, thread_id)
    later = await past(engine, me, thread_id)
    assert later[0].seq > left[-1].seq
    assert later[-1].seq < 2**53


@pytest.mark.parametrize(
    ("mode", "phase", "error"),
    [("done", "completed", None), ("boom", "failed", "boom: this node always raises")],
)
async def test_an_end_that_was_lost_is_told_as_the_runs_row_has_it(
    engine: Engine,
    me: Caller,
    redis: redis.asyncio.Redis,
    mode: str,
    phase: str,
    error: str | None,
) -> None:
    thread_id = new_id()
    run = await ran(engine, me, "work", {"mode": mode}, thread_id)
    key = f"frontdesk:events:{{{thread_id}}}"
    stored = [
        event
        for _, fields in await entries(redis, thread_id)
        for event in ormsgpack.unpackb(fields[b"b"])
    ]
    kept = [event for event in stored if event[2] not in {"error", "end"}]
    await redis.delete(key)
    await redis.xadd(key, {"b": ormsgpack.packb(kept)}, id=f"{run.epoch}-{kept[-1][0]}")
    told = await past(engine, me, thread_id)
    expected = {"event": phase, "graph_name": "work", **({"error": error} if error else {})}
    assert told[-1].data == expected
    assert told[-1].event_id == f"synth:{run.run_id}:lc||{phase}"
    assert [one.event_id for one in await past(engine, me, thread_id)] == [
        one.event_id for one in told
    ]


async def test_a_stream_ends_with_its_thread(engine: Engine, me: Caller) -> None:
    thread_id = new_id()
    await ran(engine, me, "work", {"mode": "done"}, thread_id)
    async with aclosing(engine.streams.follow(me, thread_id)) as stream:
        async for batch in stream:
            if not batch:
                await engine.threads.delete(me, thread_id)
    assert not await engine.streams.sees(me, thread_id)
