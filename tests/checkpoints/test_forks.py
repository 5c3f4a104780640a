"""Branches of one thread, and several writers on it."""

import asyncio
from uuid import UUID

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from checkpoints.errors import InvalidCheckpoint
from tests.checkpoints.backends import Backend
from tests.checkpoints.threads import Thread, checkpoint, id_of, new_id


async def test_forks_with_equal_versions_keep_their_own_values(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    async def put(parent: str | None, versions: dict[str, int], **values: object) -> str:
        before = seen.get(parent, {})
        made = checkpoint(values, versions)
        changed = {name: new for name, new in versions.items() if before.get(name) != new}
        await thread.saver.aput(thread.at(parent), made, {}, changed)
        seen[made["id"]] = versions
        written[made["id"]] = values
        return made["id"]

    seen: dict[str | None, dict[str, int]] = {}
    written: dict[str, dict[str, object]] = {}
    root = await put(None, {"items": 1, "note": 1}, items=["root"], note="root")
    left = await put(root, {"items": 2, "note": 1}, items=["root", "left"], note="root")
    right = await put(root, {"items": 2, "note": 1}, items=["root", "right"], note="root")
    same = await put(root, {"items": 1, "note": 2}, items=["root"], note="same")
    await put(left, {"items": 2, "note": 3}, items=["root", "left"], note="left")
    await put(right, {"items": 2, "note": 3}, items=["root", "right"], note="right")
    await put(same, {"items": 1, "note": 2, "new": 3}, items=["root"], note="same", new=1)
    await put(left, {"items": 3, "note": 1}, items=["edited", "left"], note="root")
    for reader in (thread, thread.through(other)):
        for checkpoint_id, values in written.items():
            assert await reader.values(thread.at(checkpoint_id)) == values
    listed = {id_of(found.config): found for found in await thread.history()}
    assert {one: found.checkpoint["channel_values"] for one, found in listed.items()} == written
    assert id_of(listed[left].parent_config) == id_of(listed[right].parent_config) == root


async def test_a_checkpoint_copied_beside_itself_keeps_what_its_parent_did_not_have(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    """As Pregel copies one: under the same parent, and naming no version as new."""
    parent = await thread.put({"items": [1], "note": "n", "gone": "g"})
    await thread.put({"items": [1, 2], "note": "n", "new": [3]})
    found = await thread.read()
    copy = found.checkpoint | {"id": new_id()}
    await thread.saver.aput(parent, copy, {"source": "fork"}, {})
    for reader in (thread, thread.through(other)):
        again = await reader.read()
        assert again.checkpoint == copy
        assert again.parent_config == parent
        assert again.checkpoint["channel_values"] == {"items": [1, 2], "note": "n", "new": [3]}


async def test_the_latest_is_the_highest_id_whenever_it_was_put(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    early, late = new_id(), new_id()
    await thread.put({"n": "late"}, id=late)
    await thread.put({"n": "early"}, id=early)
    for reader in (thread, thread.through(other)):
        assert id_of((await reader.read()).config) == late
        assert await reader.values() == {"n": "late"}
        assert [id_of(found.config) for found in await reader.history()] == [late, early]
    await thread.put({"n": "on top of early"}, parent=thread.at(early))
    for reader in (thread, thread.through(other)):
        assert await reader.values() == {"n": "on top of early"}


async def test_a_checkpoint_without_a_parent_has_none(thread: Thread) -> None:
    first = await thread.put({})
    assert first == {"configurable": thread.at(id_of(first))["configurable"]}
    assert (await thread.read()).parent_config is None
    second = await thread.put({})
    assert (await thread.read(second)).parent_config == first


async def test_a_parent_that_was_never_stored_is_no_trouble(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    unknown = thread.at(new_id())
    made = checkpoint({"items": [1, 2], "kept": "k"}, {"items": 2, "kept": 1})
    await thread.saver.aput(unknown, made, {}, {"items": 2})
    for reader in (thread, thread.through(other)):
        found = await reader.read()
        assert found.parent_config == unknown
        assert found.checkpoint["channel_values"]["items"] == [1, 2]


@pytest.mark.parametrize("thread_id", [42, UUID(int=7), "straße ✓ {tag} %s ' \\ :*?[x]", "x" * 300])
async def test_a_thread_may_be_named_by_anything(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver, thread_id: object
) -> None:
    await saver.adelete_thread(thread_id)
    thread = Thread(saver, thread_id, ns="node {1}:é|inner:2")
    stored = await thread.put({"items": ["x" * 3000]})
    await thread.write(("items", 1))
    assert str(stored["configurable"]["thread_id"]) == str(thread_id)
    for reader in (thread, Thread(other, str(thread_id), thread.ns)):
        assert await reader.values() == {"items": ["x" * 3000]}
        assert await reader.writes() == [("task", "items", 1)]
        assert len(await reader.history()) == 1
    await other.acopy_thread(thread_id, f"copy of {thread_id}")
    assert await Thread(saver, f"copy of {thread_id}", thread.ns).values() == await thread.values()
    await other.aprune([thread_id])
    await saver.adelete_thread(thread_id)
    assert await other.aget_tuple(Thread(other, str(thread_id), thread.ns).config) is None


async def test_an_id_that_is_no_uuid_is_refused_by_put_and_found_by_none(thread: Thread) -> None:
    await thread.put({})
    with pytest.raises(InvalidCheckpoint):
        await thread.put({}, id="1-2-3")
    assert await thread.saver.aget_tuple(thread.at("1-2-3")) is None
    assert [found async for found in thread.saver.alist(thread.at("1-2-3"))] == []


async def test_namespaces_are_chains_of_their_own(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver
) -> None:
    root = Thread(saver)
    inner = [Thread(saver, root.thread_id, f"node:{n}") for n in range(3)]
    for step in range(4):
        for thread in (root, *inner):
            await thread.put({"items": [f"{thread.ns} {n}" for n in range(step)]})
    for thread in (root, *inner):
        for reader in (thread, thread.through(other)):
            assert await reader.values() == {"items": [f"{thread.ns} {n}" for n in range(3)]}
            assert len(await reader.history()) == 4


async def test_two_writers_take_turns(thread: Thread, other: BaseCheckpointSaver) -> None:
    elsewhere = thread.through(other)
    items: list[HumanMessage] = []
    for turn in range(12):
        mine, theirs = (thread, elsewhere) if turn % 2 else (elsewhere, thread)
        values = await mine.values() if turn else {"items": []}
        assert values["items"] == items
        items.append(HumanMessage(f"turn {turn} {'x' * 200}", id=str(turn)))
        if turn == 7:
            items[2] = HumanMessage("edited", id="2")
        mine.last = theirs.last
        await mine.put({"items": items, "turn": turn})
        await mine.write(("items", [turn]))
    for reader in (thread, elsewhere):
        assert await reader.values() == {"items": items, "turn": 11}
        history = await reader.history()
        assert [found.checkpoint["channel_values"]["turn"] for found in history] == [
            *reversed(range(12))
        ]
        assert [found.pending_writes for found in history] == [
            [("task", "items", [turn])] for turn in reversed(range(12))
        ]


async def test_two_writers_at_once_leave_two_whole_branches(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    root = await thread.put({"items": ["root" * 100]})
    branches = [thread.through(thread.saver), thread.through(other)]

    async def grow(branch: Thread, name: str) -> list[tuple[str | None, list[str]]]:
        items, grown = ["root" * 100], []
        for step in range(10):
            items = [*items, f"{name} {step} {'x' * 200}"]
            branch.last = await branch.put({"items": items})
            await branch.write(("items", [name]))
            grown.append((id_of(branch.last), items))
        return grown

    branches[0].last = branches[1].last = root
    left, right = await asyncio.gather(grow(branches[0], "left"), grow(branches[1], "right"))
    for reader in branches:
        for checkpoint_id, items in left + right:
            assert await reader.values(thread.at(checkpoint_id)) == {"items": items}
        assert len(await reader.history()) == 21


async def test_a_process_that_forgot_everything_carries_on(backend: Backend) -> None:
    thread = None
    for life in range(4):
        async with backend.open() as saver:
            thread = thread.through(saver) if thread else Thread(saver)
            items = (await thread.values())["items"] if life else []
            assert items == [f"life {n}" for n in range(life)]
            await thread.put({"items": [*items, f"life {life}"]})


async def test_threads_do_not_touch_each_other(saver: BaseCheckpointSaver) -> None:
    threads = [Thread(saver) for _ in range(30)]

    async def talk(thread: Thread) -> None:
        items: list[str] = []
        for n in range(5):
            items.append(f"{thread.thread_id} {n}")
            await thread.put({"items": items, "shared": "s" * 500})
        assert await thread.values() == {"items": items, "shared": "s" * 500}

    await asyncio.gather(*map(talk, threads))


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (None, int),
        (8, int),
        (8.0, float),
        ("00000000000000000000000000000008.0.3999999999999", str),
        ("8", str),
    ],
)
def test_versions_rise_and_keep_their_type(
    saver: BaseCheckpointSaver, first: object, kind: type
) -> None:
    version = saver.get_next_version(first, None)
    assert type(version) is kind
    for _ in range(120):
        following = saver.get_next_version(version, None)
        assert type(following) is kind
        assert following > version
        version = following
    if first is not None and first != "8":
        assert version > first


def test_the_first_version_is_not_zero(saver: BaseCheckpointSaver) -> None:
    """Pregel takes `type(version)()` for a channel that was never written."""
    assert saver.get_next_version(None, None) > 0
