"""A read beside a removal: the whole, a newer head or nothing, never a part."""

from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from checkpoints.checkpointer import Checkpointer
from checkpoints.errors import Torn
from checkpoints.records import Ordinal, Range
from tests.checkpoints.backends import Backend
from tests.checkpoints.threads import Thread


class Racing:
    """A storage of which something is removed between a row and its elements."""

    def __init__(self, storage: object, removal: object) -> None:
        self._storage = storage
        self._removal = removal

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    async def elements(self, thread_id: str, ranges: Sequence[Range]) -> Mapping[Ordinal, bytes]:
        removal, self._removal = self._removal, None
        if removal:
            await removal()
        return await self._storage.elements(thread_id, ranges)


@pytest.fixture
async def late(backend: Backend) -> AsyncIterator[Checkpointer]:
    """A saver that knows nothing yet."""
    async with backend.open() as saver:
        yield saver


def race(saver: Checkpointer, removal: object) -> None:
    racing = Racing(saver._storage, removal)
    saver._storage = saver._reader.storage = racing  # type: ignore[assignment]


async def _grown(thread: Thread) -> list[str | None]:
    for n in range(4):
        await thread.put({"items": [f"{n} {each} " * 60 for each in range(3)]})
    return [found.config["configurable"]["checkpoint_id"] for found in await thread.history()]


async def test_a_checkpoint_pruned_meanwhile_is_not_there(
    thread: Thread, late: Checkpointer
) -> None:
    *_, oldest = await _grown(thread)
    race(late, lambda: thread.saver.aprune([thread.thread_id]))
    assert await late.aget_tuple(thread.at(oldest)) is None or await _whole(late, thread, oldest)


async def _whole(saver: Checkpointer, thread: Thread, checkpoint_id: str | None) -> bool:
    found = await saver.aget_tuple(thread.at(checkpoint_id))
    return found is not None and len(found.checkpoint["channel_values"]["items"]) == 3


async def test_a_list_leaves_out_what_is_pruned_meanwhile(
    thread: Thread, late: Checkpointer
) -> None:
    newest, *_ = await _grown(thread)
    race(late, lambda: thread.saver.aprune([thread.thread_id]))
    found = [each async for each in late.alist(thread.config)]
    assert [each.config["configurable"]["checkpoint_id"] for each in found] == [newest]


async def test_the_head_read_beside_a_step_and_a_prune_is_the_next_one(
    thread: Thread, late: Checkpointer
) -> None:
    await _grown(thread)

    async def goes_on() -> None:
        await thread.put({"items": ["next " * 60]})
        await thread.saver.aprune([thread.thread_id])

    race(late, goes_on)
    found = await late.aget_tuple(thread.config)
    assert found is not None
    items = found.checkpoint["channel_values"]["items"]
    assert items == ["next " * 60] or len(items) == 3


async def test_elements_that_are_lost_without_a_removal_are_reported(
    thread: Thread, late: Checkpointer
) -> None:
    await _grown(thread)

    class Losing(Racing):
        async def elements(self, thread_id: str, ranges: Sequence[Range]) -> dict[Ordinal, bytes]:
            return {}

    storage = Losing(late._storage, None)
    late._storage = late._reader.storage = storage  # type: ignore[assignment]
    with pytest.raises(Torn, match="lacks"):
        _ = [each async for each in late.alist(thread.config)]
