"""How events are chosen and framed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from engine.errors import Elsewhere
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


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.parametrize("told", [True, False])
async def test_a_resumable_stream_that_is_cut_before_its_first_event_says_where_to_begin(
    whole: bool, resumable: bool, told: bool
) -> None:
    async def cut() -> AsyncIterator[Sequence[Event]]:
        yield ()
        if told:
            yield [Event((1, 9), uuid4(), "values", b"1")]
        raise Elsewhere

    pieces = [BEAT]

    async def read() -> None:
        async for piece in frames(cut(), resumable=resumable, whole=whole):
            pieces.append(piece)  # noqa: PERF401 - what was read stays

    with pytest.raises(Elsewhere):
        await read()
    assert (pieces[-1] == b"id: 0-0\r\n\r\n") == (whole and resumable and not told)
