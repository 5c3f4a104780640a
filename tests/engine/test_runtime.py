import asyncio
from uuid import uuid4

import redis.asyncio

from engine.events import Events
from engine.following import START
from engine.runtime import Engine


async def test_a_service_that_fails_begins_anew(engine: Engine, redis: redis.asyncio.Redis) -> None:
    while not await redis.publish("frontdesk:cancel", b"what no process of ours says"):
        await asyncio.sleep(0.01)  # nobody listens yet
    thread, run, elsewhere = uuid4(), uuid4(), Events(redis)
    async with (
        engine.events.follow(thread, START) as follower,
        elsewhere.write(thread, run, 1) as writer,
        asyncio.timeout(10),
    ):
        await follower.next(0.1)  # there is nothing yet, so that it has to be woken
        writer.put("custom", b"1")
        assert [event.data for event in await follower.next(10)] == [b"1"]
    await elsewhere.close()
