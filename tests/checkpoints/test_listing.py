"""What `alist` finds."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from tests.checkpoints.backends import Backend
from tests.checkpoints.threads import Thread, id_of, plain


async def found(saver: BaseCheckpointSaver, config: Any, **options: Any) -> list[CheckpointTuple]:
    return [each async for each in saver.alist(config, **options)]


async def test_every_thread_is_listed_where_no_config_is_given(empty: Backend) -> None:
    async with empty.open() as saver:
        assert await found(saver, None) == []
        threads = [Thread(saver, ns=ns) for ns in ("", "", "child:1")]
        configs = [[await thread.put({"n": n}) for n in range(3)] for thread in threads]
        listed = await found(saver, None)
        assert {id_of(each.config) for each in listed} == {
            id_of(config) for each in configs for config in each
        }
        for thread in threads:
            mine = [e for e in listed if e.config["configurable"]["thread_id"] == thread.thread_id]
            assert [each.checkpoint["channel_values"]["n"] for each in mine] == [2, 1, 0]
        assert len(await found(saver, None, limit=2)) == 2
        assert await found(saver, None, limit=0) == []
        middle = configs[1][1]
        before = {"configurable": {"checkpoint_id": id_of(middle)}}
        assert {id_of(each.config) for each in await found(saver, None, before=before)} == {
            *map(id_of, configs[0]),
            id_of(configs[1][0]),
        }


async def test_a_config_without_a_namespace_means_all_of_them(saver: BaseCheckpointSaver) -> None:
    root = Thread(saver)
    configs = [
        await Thread(saver, root.thread_id, ns).put({"ns": ns}) for ns in ("", "a:1", "a:1|b:2")
    ]
    everywhere = {"configurable": {"thread_id": root.thread_id}}
    listed = await found(saver, everywhere)
    assert {id_of(each.config) for each in listed} == set(map(id_of, configs))
    assert [id_of(each.config) for each in await found(saver, root.config)] == [id_of(configs[0])]
    before = {"configurable": {"checkpoint_id": id_of(configs[2])}}
    assert {id_of(each.config) for each in await found(saver, everywhere, before=before)} == set(
        map(id_of, configs[:2])
    )


async def test_a_config_with_an_id_finds_that_checkpoint_only(thread: Thread) -> None:
    configs = [await thread.put({"n": n}) for n in range(3)]
    assert [id_of(each.config) for each in await found(thread.saver, configs[1])] == [
        id_of(configs[1])
    ]


async def test_before_may_carry_an_id_of_another_namespace(saver: BaseCheckpointSaver) -> None:
    root = Thread(saver)
    child = Thread(saver, root.thread_id, "child:1")
    early = await child.put({})
    parent = await root.put({})
    await child.put({})
    before = {"configurable": {"checkpoint_id": id_of(parent)}}
    assert [id_of(e.config) for e in await child.history(before=before, limit=1)] == [id_of(early)]


@pytest.mark.parametrize("limit", [0, 1, 3, 17, 100, None])
async def test_the_newest_come_first_and_no_more_than_asked(
    thread: Thread, other: BaseCheckpointSaver, limit: int | None
) -> None:
    configs = [await thread.put({"items": [*range(n)]}) for n in range(40)]
    for reader in (thread, thread.through(other)):
        listed = await reader.history(limit=limit)
        assert [id_of(each.config) for each in listed] == [
            id_of(config) for config in reversed(configs)
        ][:limit]


async def test_metadata_is_filtered_by_equality(thread: Thread, other: BaseCheckpointSaver) -> None:
    for n in range(20):
        source = "input" if n % 5 == 0 else "loop"
        await thread.put(
            {"n": n},
            metadata={
                "source": source,
                "step": n,
                "run_id": f"run {n // 10}",
                "tag": {"a": [n % 2]},
            },
        )

    async def numbers(reader: Thread, /, **options: Any) -> list[int]:
        return [
            each.checkpoint["channel_values"]["n"]
            for each in await reader.history(filter=options.pop("where"), **options)
        ]

    for reader in (thread, thread.through(other)):
        assert await numbers(reader, where={}) == [*reversed(range(20))]
        assert await numbers(reader, where={"source": "input"}) == [15, 10, 5, 0]
        assert await numbers(reader, where={"source": "input"}, limit=2) == [15, 10]
        assert await numbers(reader, where={"step": 7}) == [7]
        assert await numbers(reader, where={"step": "7"}) == []
        assert await numbers(reader, where={"run_id": "run 0", "source": "input"}) == [5, 0]
        assert await numbers(reader, where={"tag": {"a": [1]}}, limit=3) == [19, 17, 15]
        assert await numbers(reader, where={"nothing": 1}) == []
        assert await numbers(reader, where={"source": "loop"}, limit=0) == []


async def test_a_listed_checkpoint_is_the_one_that_is_read(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    items: list[HumanMessage] = []
    for n in range(20):
        items = [*items, HumanMessage("m" * n * 40, id=str(n))]
        if n == 11:
            items = items[5:]
        await thread.put({"items": items, "note": "n" * 300}, metadata={"step": n})
        await thread.write(("items", items[-1:]), ("note", n))
    for reader in (thread, thread.through(other)):
        listed = await reader.history()
        assert len(listed) == 20
        for each in listed:
            assert plain(each) == plain(await reader.read(each.config))


async def test_a_list_may_be_left_half_way(thread: Thread) -> None:
    for n in range(40):
        await thread.put({"n": n})
    listing = thread.saver.alist(thread.config)
    assert (await anext(listing)).checkpoint["channel_values"] == {"n": 39}
    await thread.put({"n": 40})
    await listing.aclose()
    assert len(await thread.history()) == 41
