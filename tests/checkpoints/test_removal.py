"""Deleting, pruning and copying: nothing else is touched, and no reference dangles."""

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from tests.checkpoints.backends import Backend
from tests.checkpoints.threads import Thread, by_namespace, id_of, new_id, plain


def talk(count: int) -> list[HumanMessage]:
    return [HumanMessage(f"line {n} {'x' * 200}", id=f"m{n}") for n in range(count)]


async def conversation(thread: Thread, steps: int, **metadata: object) -> None:
    for n in range(1, steps + 1):
        await thread.put({"items": talk(n), "note": "n" * 400}, metadata={"step": n, **metadata})
        await thread.write(("items", [n]), task=f"task {n}")


async def everything(saver: BaseCheckpointSaver, thread_id: str) -> dict[str, list[object]]:
    config = {"configurable": {"thread_id": thread_id}}
    return by_namespace([each async for each in saver.alist(config)])


async def test_a_deleted_thread_is_gone_with_its_namespaces_and_writes(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver
) -> None:
    gone, stays = Thread(saver), Thread(saver)
    inner = Thread(saver, gone.thread_id, "inner:1")
    coming = new_id()
    for thread in (gone, inner, stays):
        await conversation(thread, 3)
        await thread.write(("items", ["orphan"]), at=thread.at(coming))
    kept = await everything(other, stays.thread_id)
    await other.adelete_thread(gone.thread_id)
    for reader in (saver, other):
        assert await everything(reader, gone.thread_id) == {}
        for thread in (gone, inner):
            assert await reader.aget_tuple(thread.config) is None
            assert await reader.aget_tuple(thread.last) is None
        assert await everything(reader, stays.thread_id) == kept
    await gone.put({"items": []}, parent=gone.config, id=coming)
    assert await gone.writes() == []


@pytest.mark.parametrize("how", ["delete_thread", "prune", "delete_for_runs"])
async def test_a_writer_goes_on_after_another_process_removed_what_it_rests_on(
    thread: Thread, other: BaseCheckpointSaver, how: str
) -> None:
    elsewhere = thread.through(other)
    await conversation(thread, 6, run_id="old run " + thread.thread_id)
    match how:
        case "delete_thread":
            await other.adelete_thread(thread.thread_id)
        case "prune":
            await other.aprune([thread.thread_id], strategy="delete")
        case "delete_for_runs":
            await other.adelete_for_runs(["old run " + thread.thread_id])
    assert await elsewhere.saver.aget_tuple(thread.config) is None
    await thread.put({"items": talk(7), "note": "n" * 400})
    await thread.write(("items", talk(3)))
    await thread.put({"items": talk(7)[2:], "note": "n" * 400})
    for reader in (thread, elsewhere):
        assert await reader.values() == {"items": talk(7)[2:], "note": "n" * 400}
        history = await reader.history()
        assert history[1].checkpoint["channel_values"] == {"items": talk(7), "note": "n" * 400}
        assert history[1].pending_writes == [("task", "items", talk(3))]
        assert len(history) == 2


async def test_what_was_pruned_away_may_be_said_again(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    """The process remembers elements that no checkpoint holds any more."""
    elsewhere = thread.through(other)
    await conversation(thread, 6)
    await thread.put({"items": talk(6)[3:]})
    for _ in range(2):
        await other.aprune([thread.thread_id])
        await thread.put({"items": [*talk(6)[3:], *talk(6)[:3]], "note": "n" * 400})
        await elsewhere.values()
        elsewhere.last = thread.last
        await elsewhere.put({"items": talk(6), "note": "n" * 400})
        for reader in (thread, elsewhere, thread):
            assert await reader.values() == {"items": talk(6), "note": "n" * 400}
        thread.last = elsewhere.last
        await thread.saver.aprune([thread.thread_id])
        await thread.put({"items": talk(6)[:1]})
        await thread.put({"items": talk(6)})
        for reader in (thread, elsewhere):
            assert await reader.values() == {"items": talk(6)}


async def test_a_thread_deleted_and_begun_again_holds_only_the_new(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    for _ in range(3):
        thread.last = None
        await conversation(thread, 3)
        for reader in (thread, thread.through(other)):
            assert (await reader.values())["items"] == talk(3)
            assert len(await reader.history()) == 3
        await thread.saver.adelete_thread(thread.thread_id)


async def test_deleting_runs_takes_theirs_everywhere_and_leaves_the_rest_whole(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver
) -> None:
    threads = [Thread(saver), Thread(saver)]
    threads.append(Thread(saver, threads[0].thread_id, "inner:1"))
    runs = [f"{name} {threads[0].thread_id}" for name in ("first", "second", "third")]
    for thread in threads:
        for n in range(1, 7):
            run = runs[(n - 1) // 2]
            await thread.put({"items": talk(n), "note": "n" * 400}, metadata={"run_id": run})
            await thread.write(("items", [n]))
    await saver.adelete_for_runs([])
    await saver.adelete_for_runs(["unknown"])
    await other.adelete_for_runs([runs[0], runs[1], "unknown"])
    for thread in threads:
        for reader in (thread, thread.through(other)):
            history = await reader.history()
            assert [len(each.checkpoint["channel_values"]["items"]) for each in history] == [6, 5]
            assert await reader.values() == {"items": talk(6), "note": "n" * 400}
            assert history[1].pending_writes == [("task", "items", [5])]
    await other.adelete_for_runs([runs[2]])
    assert await everything(saver, threads[0].thread_id) == {}


async def test_when_the_latest_goes_the_one_before_is_the_latest(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    before = await thread.put({"items": talk(2)}, metadata={"run_id": "stays"})
    await thread.put({"items": talk(3)}, metadata={"run_id": f"goes {thread.thread_id}"})
    assert (await thread.through(other).values())["items"] == talk(3)
    await thread.saver.adelete_for_runs([f"goes {thread.thread_id}"])
    for reader in (thread, thread.through(other)):
        found = await reader.read()
        assert id_of(found.config) == id_of(before)
        assert found.checkpoint["channel_values"] == {"items": talk(2)}
    thread.last = before
    await thread.put({"items": talk(3)})
    for reader in (thread, thread.through(other)):
        assert await reader.values() == {"items": talk(3)}


async def test_a_copy_equals_its_source_and_then_goes_its_own_way(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver
) -> None:
    source = Thread(saver)
    inner = Thread(saver, source.thread_id, "inner:1")
    for thread in (source, inner):
        await conversation(thread, 5)
        await thread.put({"items": talk(2)}, parent=(await thread.history())[-2].config)
        for task, path in (("z", "1"), ("a", "2"), ("m", "1")):
            await thread.write(("items", [task]), ("note", task), task=task, path=path)
    before = await everything(saver, source.thread_id)
    target = Thread(saver, f"copy of {source.thread_id}")
    await other.acopy_thread(source.thread_id, target.thread_id)
    for reader in (saver, other):
        assert await everything(reader, source.thread_id) == before
        copied = await everything(reader, target.thread_id)
        assert repr(copied) == repr(before).replace(source.thread_id, target.thread_id)

    target = source.through(saver)
    target.thread_id = f"copy of {source.thread_id}"
    target.last = target.at(id_of(source.last))
    await target.put({"items": [*talk(2), "target"]})
    await target.write(("items", ["target"]))
    await source.put({"items": [*talk(2), "source"]})
    for reader in (saver, other):
        assert await target.through(reader).values() == {"items": [*talk(2), "target"]}
        assert await source.through(reader).values() == {"items": [*talk(2), "source"]}
    await other.adelete_thread(source.thread_id)
    for reader in (saver, other):
        assert await everything(reader, source.thread_id) == {}
        assert await target.through(reader).values() == {"items": [*talk(2), "target"]}
        assert len(await target.through(reader).history()) == 7
    await target.put({"items": talk(5)})
    assert await target.through(other).values() == {"items": talk(5)}


async def test_a_copy_of_nothing_is_nothing(saver: BaseCheckpointSaver, thread: Thread) -> None:
    await saver.acopy_thread("no such thread", thread.thread_id)
    assert await everything(saver, thread.thread_id) == {}


async def test_pruning_keeps_the_latest_of_each_namespace_whole(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver
) -> None:
    root = Thread(saver)
    inner = Thread(saver, root.thread_id, "inner:1")
    bystander = Thread(saver)
    for thread in (root, inner, bystander):
        await conversation(thread, 5)
    heads = {
        ns: [found[0] | {"parent": None}]
        for ns, found in (await everything(other, root.thread_id)).items()
    }
    untouched = await everything(saver, bystander.thread_id)
    await saver.aprune([])
    await saver.aprune(["no such thread"])
    await saver.aprune(["no such thread"], strategy="delete")
    await other.aprune([root.thread_id, "no such thread"])
    for reader in (saver, other):
        kept = await everything(reader, root.thread_id)
        assert {ns: [one | {"parent": None} for one in kept[ns]] for ns in kept} == heads
        assert await everything(reader, bystander.thread_id) == untouched
    for thread in (root, inner):
        await conversation(thread, 6)
        for reader in (thread, thread.through(other)):
            assert (await reader.values())["items"] == talk(6)


async def test_pruning_gives_the_room_back(empty: Backend) -> None:
    async with empty.open() as saver:
        thread = Thread(saver)
        await thread.put({"items": [*talk(1), "y" * 10]})
        small = sum(map(len, await empty.dump()))
        for n in range(20):
            await thread.put({"items": talk(1), "state": {"a": [f"{n} {new_id()}"] * 20}})
        await thread.put({"items": [*talk(1), "y" * 10]})
        await saver.aprune([thread.thread_id])
        assert sum(map(len, await empty.dump())) < small + 1000
        await saver.adelete_thread(thread.thread_id)
        assert sum(map(len, await empty.dump())) < small


async def test_another_strategy_is_refused(saver: BaseCheckpointSaver) -> None:
    with pytest.raises(ValueError, match="strategy"):
        await saver.aprune(["thread"], strategy="keep_some")


async def test_removal_leaves_writes_of_the_head_and_of_coming_checkpoints(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await conversation(thread, 3)
    coming = new_id()
    await thread.write(("items", talk(2)), at=thread.at(coming))
    head = plain(await thread.read())
    await other.aprune([thread.thread_id])
    assert plain(await thread.read()) | {"parent": None} == head | {"parent": None}
    await thread.put({"items": talk(4)}, id=coming)
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == [("task", "items", talk(2))]
