"""How events are chosen and framed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

from engine.following import Event
from server.sse import BEAT, frames, only


async def test_events_that_are_not_wanted_are_signs_of_life_now_and_then() -> None:
    run_id = uuid4()

    async def told() -> AsyncIterator[Sequence[Event]]:
        for number in range(4):
            yield [Event((1, number), run_id, "custom", b"{}")]
            if number == 1:
                await asyncio.sleep(0.6)
        yield [Event((1, 9), run_id, "values", b"1"), Event((1, 10), run_id, "custom", b"{}")]
        yield ()

    batches = only(told(), lambda event: event.name == "values")
    pieces = [piece async for piece in frames(batches, resumable=True)]
    assert pieces == [BEAT, b"event: values\r\ndata: 1\r\nid: 1-9\r\n\r\n", BEAT]
