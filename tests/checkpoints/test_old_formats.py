"""Checkpoints before format 4, as imported threads have them: sends lie in the parent's writes."""

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Send

from tests.checkpoints.threads import Thread

OLD = [1, 2, 3]
SENDS = [Send("node", {"n": 1}), Send("node", {"n": 2, "text": "x" * 300}), Send("other", 3)]


async def old_thread(thread: Thread, v: int) -> None:
    await thread.put({"items": [1]}, v=v)
    await thread.write((TASKS, SENDS[2]), ("items", 1), task="b", path="~2")
    await thread.write((TASKS, SENDS[0]), (TASKS, SENDS[1]), task="a", path="~1")
    await thread.put({"items": [1, 2]}, v=v)
    await thread.write((TASKS, Send("later", 0)))


@pytest.mark.parametrize("v", OLD)
async def test_what_the_parent_sent_becomes_the_value_of_the_tasks(
    thread: Thread, other: BaseCheckpointSaver, v: int
) -> None:
    await old_thread(thread, v)
    for reader in (thread, thread.through(other)):
        for found in (await reader.read(), (await reader.history())[0]):
            checkpoint = found.checkpoint
            assert checkpoint["v"] == v
            assert checkpoint["channel_values"] == {"items": [1, 2], TASKS: SENDS}
            assert checkpoint["channel_versions"][TASKS] == checkpoint["channel_versions"]["items"]
            assert [value for _, _, value in found.pending_writes] == [Send("later", 0)]


@pytest.mark.parametrize("v", OLD)
async def test_without_sends_nothing_is_made_up(thread: Thread, v: int) -> None:
    await thread.put({"items": [1]}, v=v)
    await thread.write(("items", [2]))
    await thread.put({"items": [1, 2]}, v=v)
    for found in await thread.history():
        assert TASKS not in found.checkpoint["channel_values"]
        assert TASKS not in found.checkpoint["channel_versions"]


async def test_new_formats_keep_their_own_tasks(thread: Thread) -> None:
    await thread.put({TASKS: SENDS[:1]})
    await thread.write((TASKS, SENDS[1]))
    await thread.put({"items": [1]})
    assert await thread.values() == {"items": [1]}


@pytest.mark.parametrize("v", OLD)
async def test_sends_outlive_pruning_and_copying(
    thread: Thread, other: BaseCheckpointSaver, v: int
) -> None:
    await old_thread(thread, v)
    copy = Thread(other, f"copy of {thread.thread_id}")
    await other.acopy_thread(thread.thread_id, copy.thread_id)
    await other.aprune([thread.thread_id])
    for reader in (thread, thread.through(other), copy, copy.through(thread.saver)):
        assert await reader.values() == {"items": [1, 2], TASKS: SENDS}


@pytest.mark.parametrize("v", OLD)
async def test_pruning_keeps_no_parent_that_sent_nothing(thread: Thread, v: int) -> None:
    for n in range(4):
        await thread.put({"items": [n]}, v=v)
        await thread.write(("items", [n]))
    await thread.saver.aprune([thread.thread_id])
    assert len(await thread.history()) == 1


async def test_string_versions_are_continued(thread: Thread, other: BaseCheckpointSaver) -> None:
    official = "00000000000000000000000000000007.0.5555555555555555"
    thread._seen[None] = ({}, {"begun": official})
    await thread.put({"items": [1]})
    await thread.put({"items": [1, 2]})
    versions = (await thread.through(other).read()).checkpoint["channel_versions"]
    assert versions["begun"] == official
    assert versions["items"] > official
    assert versions["items"].startswith("00000000000000000000000000000009.")
