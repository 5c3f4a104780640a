import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import pytest
import redis.asyncio

from engine.events import Events
from engine.following import START, Event, Follower, behind_epoch, parse_position
from tests.fakes.cable import cable
from tests.waiting import until


@asynccontextmanager
async def hearing(client: redis.asyncio.Redis) -> AsyncIterator[Events]:
    """The events as another process sees them."""
    events = Events(client)
    task = asyncio.create_task(events.listen())
    yield events
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1)
    await events.close()


@pytest.fixture
async def here(redis: redis.asyncio.Redis) -> AsyncIterator[Events]:
    async with hearing(redis) as events:
        yield events


@pytest.fixture
async def there(redis: redis.asyncio.Redis) -> AsyncIterator[Events]:
    async with hearing(redis) as events:
        yield events


async def take(follower: Follower, count: int) -> list[Event]:
    taken = []
    async with asyncio.timeout(20):
        while len(taken) < count:
            taken += await follower.next(5)
    return taken


@pytest.fixture
def thread() -> UUID:
    return uuid4()


@pytest.fixture
def run() -> UUID:
    return uuid4()


async def test_a_follower_here_hears_at_once(here: Events, thread: UUID, run: UUID) -> None:
    async with (
        here.write(thread, run, 3) as writer,
        here.follow(thread, START) as follower,
    ):
        writer.put("values", b"1")
        writer.put("end", b"2")
        events = await take(follower, 2)
    assert [(event.id, event.name, event.data) for event in events] == [
        ("3-1", "values", b"1"),
        ("3-2", "end", b"2"),
    ]
    assert {event.run_id for event in events} == {run}


async def test_a_follower_in_another_process_hears_too(
    here: Events, there: Events, thread: UUID, run: UUID
) -> None:
    async with (
        there.follow(thread, START) as follower,
        here.write(thread, run, 1) as writer,
    ):
        for number in range(50):
            writer.put("custom", str(number).encode())
            await asyncio.sleep(0.001)
        events = await take(follower, 50)
    assert [int(event.data) for event in events] == list(range(50))


@pytest.mark.parametrize("after", range(6))
async def test_following_can_begin_after_any_event(
    here: Events, there: Events, thread: UUID, run: UUID, after: int
) -> None:
    async with here.write(thread, run, 1) as writer:
        for number in range(1, 6):
            writer.put("custom", str(number).encode())
        for events in (here, there):
            await writer.flush()
            async with events.follow(thread, (1, after)) as follower:
                seen = [int(event.data) for event in await take(follower, 5 - after)]
                assert seen == list(range(after + 1, 6))
                assert not await follower.next(0)


async def test_following_from_now_leaves_out_the_past(
    here: Events, there: Events, thread: UUID, run: UUID
) -> None:
    async with here.write(thread, run, 1) as writer:
        writer.put("custom", b"old")
        for events in (here, there):
            await writer.flush()
            position = await events.last(thread)
            async with events.follow(thread, position) as follower:
                writer.put("custom", b"new")
                assert [event.data for event in await take(follower, 1)] == [b"new"]


async def test_events_of_a_superseded_claim_are_refused(
    here: Events, there: Events, thread: UUID, run: UUID
) -> None:
    async with here.write(thread, run, 1) as old, there.write(thread, run, 2) as new:
        old.put("custom", b"before")
        await old.flush()
        new.put("custom", b"after")
        await new.flush()
        old.put("custom", b"zombie")
        await old.flush()
    events, _ = await here.read(thread, START)
    assert [(event.id, event.data) for event in events] == [("1-1", b"before"), ("2-1", b"after")]
    assert (await here.read(thread, behind_epoch(1)))[0] == events[1:]


async def test_a_slow_follower_loses_nothing(here: Events, thread: UUID, run: UUID) -> None:
    count = 3_000
    async with (
        here.write(thread, run, 1) as writer,
        here.follow(thread, START) as follower,
    ):
        for number in range(count):
            writer.put("custom", str(number).encode())
        events = await take(follower, count)
    assert [int(event.data) for event in events] == list(range(count))


async def test_a_check_wakes_followers_everywhere(
    here: Events, there: Events, thread: UUID
) -> None:
    async with AsyncExitStack() as stack:
        followers = [
            await stack.enter_async_context(events.follow(thread, START))
            for events in (here, there)
        ]
        for follower in followers:
            assert not await follower.next(5)  # it may have ended before they came
        waiting = [asyncio.create_task(follower.next(60)) for follower in followers]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        await here.check(thread)
        assert await asyncio.wait_for(asyncio.gather(*waiting), 20) == [(), ()]


async def test_a_cancel_reaches_every_process(here: Events, there: Events, run: UUID) -> None:
    heard: set[tuple[str, UUID]] = set()
    here.on_cancel = lambda run_id: heard.add(("here", run_id))
    there.on_cancel = lambda run_id: heard.add(("there", run_id))

    async def reached() -> bool:  # said again until the other one listens
        await here.cancel(run)
        return heard == {("here", run), ("there", run)}

    await until(reached)


async def test_a_thread_that_is_gone_is_forgotten(here: Events, thread: UUID, run: UUID) -> None:
    async with here.write(thread, run, 1) as writer:
        writer.put("custom", b"1")
    await here.forget(thread)
    assert await here.read(thread, START) == ((), False)


async def test_without_redis_followers_here_still_hear(
    unused_tcp_port: int, thread: UUID, run: UUID
) -> None:
    nowhere = redis.asyncio.Redis(port=unused_tcp_port)
    events = Events(nowhere)
    async with (
        events.write(thread, run, 1) as writer,
        events.follow(thread, START) as follower,
    ):
        writer.put("custom", b"1")
        assert [event.data for event in await take(follower, 1)] == [b"1"]
    await events.close()
    await nowhere.aclose()


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("3-14", (3, 14)),
        ("0-0", (0, 0)),
        (f"0-{2**63 - 1}", (0, 2**63 - 1)),
        (f"{2**64}-0", None),
        (f"0-{2**64}", None),
        (f"{'9' * 5_000}-0", None),
        ("-1", None),
        ("bogus", None),
        ("1-x", None),
        ("", None),
    ],
)
def test_an_event_id_names_a_position(text: str, position: tuple[int, int] | None) -> None:
    assert parse_position(text) == position


async def numbers(follower: Follower, count: int) -> list[int]:
    return [int(event.data) for event in await take(follower, count)]


async def test_what_redis_forgets_is_told_again(
    here: Events, there: Events, redis: redis.asyncio.Redis, thread: UUID, run: UUID
) -> None:
    async with (
        here.write(thread, run, 1) as writer,
        there.follow(thread, START) as follower,
    ):
        for number in range(6):
            writer.put("custom", str(number).encode())
            await writer.flush()
            if number == 3:
                await redis.flushall()
        assert await numbers(follower, 6) == list(range(6))
        async with there.follow(thread, (1, 2)) as late:
            assert await numbers(late, 4) == [2, 3, 4, 5]


async def test_what_was_told_while_redis_was_away_is_brought_when_it_is_back(
    redis_url: str, there: Events, thread: UUID, run: UUID
) -> None:
    async with cable(redis_url.removeprefix("unix://")) as wire:
        client = redis.asyncio.Redis(port=wire.port, retry=None)
        events = Events(client)
        async with (
            there.follow(thread, START) as far,
            events.write(thread, run, 1) as writer,
            events.follow(thread, START) as near,
        ):
            writer.put("custom", b"0")
            assert await numbers(far, 1) == [0]
            wire.cut()
            for number in range(1, 5):
                writer.put("custom", str(number).encode())
                await writer.flush()
            assert await numbers(near, 5) == [0, 1, 2, 3, 4]
            assert not await far.next(0.1)
            wire.mend()
            writer.put("custom", b"5")
            assert await numbers(far, 5) == [1, 2, 3, 4, 5]
        await events.close()
        await client.aclose()


async def test_a_batch_whose_answer_was_lost_is_there_once(
    here: Events, there: Events, thread: UUID, run: UUID
) -> None:
    async with here.write(thread, run, 1) as writer:
        writer.put("custom", b"0")
        await writer.flush()
        writer.put("custom", b"1")
        writer._sent = 0  # as if nobody had answered
        await writer.flush()
    events, _ = await there.read(thread, START)
    assert [event.data for event in events] == [b"0", b"1"]


async def test_a_stream_is_bounded_in_bytes(
    here: Events, redis: redis.asyncio.Redis, thread: UUID, run: UUID
) -> None:
    async with here.write(thread, run, 1) as writer:
        for _ in range(40):
            writer.put("custom", b"x" * 1_000_000)
            await writer.flush()
    rows = await redis.xrange(f"frontdesk:events:{{{thread}}}")
    size = sum(len(fields[b"b"]) for _, fields in rows)
    assert 10_000_000 < size <= 16_000_000
    assert int(await redis.get(f"frontdesk:events:{{{thread}}}:bytes")) == size
    assert 0 < await redis.ttl(f"frontdesk:events:{{{thread}}}") <= 3600


async def test_runs_that_alternate_between_processes_are_heard_in_order(
    here: Events, there: Events, thread: UUID, run: UUID
) -> None:
    async with here.follow(thread, START) as near, there.follow(thread, START) as far:
        for epoch, events in enumerate((here, there, here, there), 1):
            async with events.write(thread, run, epoch) as writer:
                writer.put("custom", str(2 * epoch).encode())
                writer.put("custom", str(2 * epoch + 1).encode())
        assert await numbers(near, 8) == list(range(2, 10))
        assert await numbers(far, 8) == list(range(2, 10))


async def test_a_writer_that_ends_late_takes_nothing_from_the_next(
    here: Events, thread: UUID, run: UUID
) -> None:
    async with AsyncExitStack() as next_one:
        async with here.write(thread, run, 1) as old:
            old.put("custom", b"0")
            new = await next_one.enter_async_context(here.write(thread, run, 2))
        new.put("custom", b"1")
        async with here.follow(thread, (2, 0)) as follower:
            assert await numbers(follower, 1) == [1]
        assert await here.last(thread) == (2, 1)
