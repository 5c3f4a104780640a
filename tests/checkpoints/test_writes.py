"""Pending writes: who wins, in which order they are read, and when they may come."""

import asyncio
import os
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from tests.checkpoints.backends import Backend
from tests.checkpoints.threads import Thread, id_of, new_id

NULL_TASK_ID = "00000000-0000-0000-0000-000000000000"


async def assert_writes(
    thread: Thread, other: BaseCheckpointSaver, expected: list[tuple[str, str, Any]]
) -> None:
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == expected
        assert (await reader.history())[0].pending_writes == expected


async def test_the_first_write_of_a_position_wins(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    await thread.write(("a", 1), ("b", 2))
    await thread.write(("a", "late"), ("b", "late"), ("c", 3))
    await thread.write(("another", "late"))
    await assert_writes(thread, other, [("task", "a", 1), ("task", "b", 2), ("task", "c", 3)])


async def test_the_last_write_of_a_special_channel_wins(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    for turn in (1, 2, 3):
        for channel in (ERROR, SCHEDULED, INTERRUPT, RESUME):
            await thread.write((channel, turn))
    await assert_writes(
        thread,
        other,
        [
            ("task", RESUME, 3),
            ("task", INTERRUPT, 3),
            ("task", SCHEDULED, 3),
            ("task", ERROR, 3),
        ],
    )


async def test_each_write_of_a_mixed_call_follows_its_own_rule(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    await thread.write(("a", 1), (INTERRUPT, "first"), ("b", 1))
    await thread.write(("a", 2), (INTERRUPT, "last"), ("b", 2), (RESUME, "r"))
    await thread.write((ERROR, "e"), ("late", 9))  # of position 1, which nothing regular holds
    await assert_writes(
        thread,
        other,
        [
            ("task", RESUME, "r"),
            ("task", INTERRUPT, "last"),
            ("task", ERROR, "e"),
            ("task", "a", 1),
            ("task", "late", 9),
            ("task", "b", 1),
        ],
    )


async def test_of_two_equal_special_writes_in_one_call_the_last_wins(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    await thread.write((INTERRUPT, "first"), (INTERRUPT, "last"))
    await assert_writes(thread, other, [("task", INTERRUPT, "last")])


async def test_a_list_sent_again_as_it_grows_is_stored_once(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    grown: list[tuple[str, Any]] = []
    for n in range(5):
        grown.append(("items", {"n": n}))
        await thread.write(*grown, task=NULL_TASK_ID)
    await assert_writes(thread, other, [(NULL_TASK_ID, "items", {"n": n}) for n in range(5)])


async def test_writes_are_read_by_path_then_task_then_position(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    await thread.write(("x", 1), ("x", 2), task="a", path="~__pregel_pull, 2")
    await thread.write(("x", 3), (INTERRUPT, 4), task="z", path="~__pregel_pull, 1")
    await thread.write(("x", 5), task="y", path="~__pregel_pull, 1")
    await thread.write(("x", 6), task="zz")
    await thread.write(*(("x", n) for n in range(12)))  # positions are numbers, not text
    tens = [("task", "x", n) for n in range(12)]
    await assert_writes(
        thread,
        other,
        [
            *tens,
            ("zz", "x", 6),
            ("y", "x", 5),
            ("z", INTERRUPT, 4),
            ("z", "x", 3),
            ("a", "x", 1),
            ("a", "x", 2),
        ],
    )


async def test_a_write_is_placed_by_the_path_it_came_with(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    await thread.write(("kept", 1), (INTERRUPT, 1), task="a", path="1")
    await thread.write(("kept", 2), (INTERRUPT, 2), task="a", path="3")
    await thread.write(("x", 1), task="b", path="2")
    await assert_writes(thread, other, [("a", "kept", 1), ("b", "x", 1), ("a", INTERRUPT, 2)])


async def test_writes_may_come_before_their_checkpoint(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    parent = await thread.put({"items": [1]})
    coming = new_id()
    await thread.write(("items", [2]), (INTERRUPT, "wait"), at=thread.at(coming))
    assert await thread.writes() == []
    assert id_of((await thread.through(other).read()).config) == id_of(parent)
    assert await thread.saver.aget_tuple(thread.at(coming)) is None
    await thread.put({"items": [1, 2]}, id=coming)
    await thread.write(("items", [3]), task="later")
    await assert_writes(
        thread,
        other,
        [("later", "items", [3]), ("task", INTERRUPT, "wait"), ("task", "items", [2])],
    )


async def test_the_first_thing_a_thread_hears_may_be_writes(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    coming = new_id()
    await thread.write(("items", ["é\x00"]), at=thread.at(coming))
    for saver in (thread.saver, other):
        assert await saver.aget_tuple(thread.config) is None
        assert [each async for each in saver.alist(thread.config)] == []
    await thread.through(other).put({}, id=coming)
    await assert_writes(thread, other, [("task", "items", ["é\x00"])])


async def test_writes_belong_to_one_checkpoint_of_one_namespace(saver: BaseCheckpointSaver) -> None:
    root = Thread(saver)
    child = Thread(saver, root.thread_id, "child:1")
    shared = new_id()
    await root.put({}, id=shared)
    await child.put({}, id=shared)
    await root.write(("x", "root"))
    await child.write(("x", "child"))
    assert await root.writes() == [("task", "x", "root")]
    assert await child.writes() == [("task", "x", "child")]
    await root.put({})
    assert await root.writes() == []
    assert await root.writes(root.at(shared)) == [("task", "x", "root")]


async def test_what_is_stored_is_counted_in_bytes_and_an_element_once(empty: Backend) -> None:
    noise = [os.urandom(1000) for _ in range(3)]
    async with empty.open() as saver:
        assert saver.bytes_written == 0
        thread = Thread(saver)
        await thread.put({"items": noise[:2]})
        first = saver.bytes_written
        assert 2000 < first < 3000
        await thread.write(("items", noise[2:]))
        await thread.put({"items": noise})
        assert 1000 < saver.bytes_written - first < 2000
        assert saver.with_allowlist([]).bytes_written == saver.bytes_written
        everything = saver.bytes_written
        await thread.history()
        assert saver.bytes_written == everything


async def test_no_writes_are_no_trouble(thread: Thread, other: BaseCheckpointSaver) -> None:
    await thread.put({})
    await thread.write()
    await assert_writes(thread, other, [])


async def test_rules_hold_for_writes_through_two_processes(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({})
    elsewhere = thread.through(other)
    await thread.write(("a", 1), (INTERRUPT, 1))
    await elsewhere.write(("a", 2), (INTERRUPT, 2), ("b", 2))
    await thread.write(("a", 3), (INTERRUPT, 3), ("b", 3), ("c", 3))
    await assert_writes(
        thread,
        other,
        [("task", INTERRUPT, 3), ("task", "a", 1), ("task", "b", 2), ("task", "c", 3)],
    )


async def test_parallel_tasks_and_the_next_checkpoint_may_be_sent_at_once(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    parent = await thread.put({"items": []})
    tasks = [f"task {n}" for n in range(10)]
    await asyncio.gather(
        *(thread.write(("items", [task]), task=task, at=parent) for task in tasks),
        thread.put({"items": tasks}),
    )
    for reader in (thread, thread.through(other)):
        assert await reader.writes(parent) == [(task, "items", [task]) for task in tasks]
        assert await reader.values() == {"items": tasks}
