"""What watching a run tells while others are at work."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import cast

import orjson
import pytest

from engine.caller import Caller
from engine.claims import Run
from engine.following import START, Event
from engine.runs import RunRequest
from engine.runtime import Engine
from engine.watch import Watch


async def test_a_waiting_run_shows_signs_of_life_while_another_is_at_work(
    engine: Engine, me: Caller
) -> None:
    watch = Watch(engine.runs, engine.threads, engine.events, beat_seconds=0.05)
    thread = await engine.threads.create(me)
    slow = RunRequest("work", input={"mode": "slow", "secs": 30})
    first = await engine.runs.create(me, thread.thread_id, slow)
    second = await engine.runs.create(me, thread.thread_id, RunRequest("work", input={}))

    async def talk() -> None:
        """As if the run at work told more than anybody could wait between."""
        running = await engine.runs.get(me, first.thread_id, first.run_id)
        async with engine.events.write(first.thread_id, first.run_id, running.epoch or 0) as writer:
            while True:
                writer.put("custom", b"{}")
                await asyncio.sleep(0.01)

    talking = asyncio.create_task(talk())
    batches = cast("AsyncGenerator[Sequence[Event]]", watch.from_start(me, second))
    async with asyncio.timeout(10):
        assert [await anext(batches) for _ in range(3)] == [()] * 3
    await batches.aclose()
    talking.cancel()
    await asyncio.wait({talking})


async def done(engine: Engine, me: Caller, mode: str = "done") -> Run:
    """A run that is over, and of which Redis has forgotten everything."""
    thread = await engine.threads.create(me)
    asked = RunRequest("work", input={"mode": mode}, stream_resumable=True)
    run = await engine.runs.create(me, thread.thread_id, asked)
    async for _ in engine.watch.from_start(me, run):
        pass
    await engine.events.forget(run.thread_id)
    return await engine.runs.get(me, run.thread_id, run.run_id)


@pytest.mark.parametrize("taken_over", [False, True])
async def test_what_a_run_left_is_not_taken_from_what_was_told_before_a_loss(
    engine: Engine, me: Caller, *, taken_over: bool
) -> None:
    run = await done(engine, me)
    epoch = run.epoch or 0
    if taken_over:
        async with engine.pool.connection() as conn:
            await conn.execute("update frontdesk.runs set epoch = epoch + 1")
    batches = engine.watch.rejoin(me, run, f"{epoch}-0")
    async with engine.events.follow(run.thread_id, START):  # who listens, so that it is not dropped
        async with engine.events.write(run.thread_id, run.run_id, epoch) as writer:
            writer.put("values", b'{"steps":["stale"]}')
        pieces = engine.watch.output(me, batches, run)
        left = orjson.loads(b"".join([piece async for piece in pieces]))
    assert left["steps"] == ["prep", "done"]


async def test_a_place_before_all_events_is_one_to_go_on_from(
    engine: Engine, me: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    run = await done(engine, me)
    batches = engine.watch.rejoin(me, run, f"{run.epoch}-0")
    assert [event.name async for events in batches for event in events] == ["end"]
    assert "Redis is away" not in caplog.text


async def test_who_is_cut_off_between_the_error_and_the_end_is_told_the_end(
    engine: Engine, me: Caller
) -> None:
    run = await done(engine, me, "boom")
    told = [event async for events in engine.watch.from_start(me, run) for event in events]
    assert [event.name for event in told] == ["error", "end"]
    for seen, left in ((told[0], ["end"]), (told[1], [])):
        batches = engine.watch.rejoin(me, run, seen.id)
        assert [event.name async for events in batches for event in events] == left


async def test_who_has_heard_the_end_is_not_told_it_again_when_another_run_came_after(
    engine: Engine, me: Caller
) -> None:
    thread = await engine.threads.create(me)
    asked = RunRequest("work", input={}, stream_resumable=True)
    runs = [await engine.runs.create(me, thread.thread_id, asked) for _ in range(2)]
    first, _ = [
        [event async for events in engine.watch.from_start(me, run) for event in events]
        for run in runs
    ]
    assert first[-1].name == "end"
    for seen, left in ((first[-2], ["end"]), (first[-1], [])):
        batches = engine.watch.rejoin(me, runs[0], seen.id)
        assert [event.name async for events in batches for event in events] == left


async def test_a_thread_that_becomes_somebody_elses_is_silent(engine: Engine, me: Caller) -> None:
    watch = Watch(engine.runs, engine.threads, engine.events, beat_seconds=0.2)
    ann = replace(me, identity="ann", trusted=False, alone=True)
    thread = await engine.threads.create(ann)
    told: dict[str, int] = {"ann": 0, "me": 0}

    async def listen(name: str, caller: Caller) -> None:
        async for batch in await watch.thread(caller, thread.thread_id, "-"):
            told[name] += len(batch)

    async def work() -> None:
        run = await engine.runs.create(me, thread.thread_id, RunRequest("work", input={}))
        before = told["me"]
        async with asyncio.timeout(20):
            async for _ in watch.from_start(me, run):
                pass
            while told["me"] < before + 2:
                await asyncio.sleep(0.02)

    listening = [asyncio.create_task(listen(*one)) for one in (("ann", ann), ("me", me))]
    await work()
    async with asyncio.timeout(20):
        while told["ann"] < told["me"]:
            await asyncio.sleep(0.02)
    async with engine.pool.connection() as conn:
        await conn.execute("update frontdesk.threads set owner = 'bob'")
    await asyncio.sleep(0.25)
    heard = told["ann"]
    assert heard > 0
    await work()
    await asyncio.sleep(0.1)
    assert told["me"] > told["ann"] == heard
    for task in listening:
        task.cancel()
    await asyncio.wait(listening)
