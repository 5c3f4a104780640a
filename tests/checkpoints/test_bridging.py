"""The methods without an `a`, for threads that are not the event loop's."""

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from checkpoints import EPOCH  # noqa: F401 - what the engine imports
from tests.checkpoints.threads import Thread, checkpoint, id_of, plain


async def test_every_method_works_from_another_thread(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver, thread: Thread
) -> None:
    def work() -> dict[str, Any]:
        first = saver.put(
            thread.config, checkpoint({"items": [1]}, {"items": 1}), {"run_id": run}, {"items": 1}
        )
        saver.put_writes(first, [("items", [2]), ("log", "l")], "task", "path")
        second = saver.put(first, checkpoint({"items": [1, 2]}, {"items": 2}), {}, {"items": 2})
        saver.copy_thread(thread.thread_id, copy.thread_id)
        seen = {
            "latest": saver.get_tuple(thread.config),
            "value": saver.get(thread.config),
            "first": saver.get_tuple(first),
            "list": list(saver.list(thread.config, limit=5, filter={})),
            "everywhere": next(iter(saver.list(None, before=second, limit=1))),
            "delta": saver.get_delta_channel_history(config=second, channels=["log"]),
            "copy": list(saver.list(copy.config)),
        }
        saver.delete_for_runs([run])
        seen["after delete_for_runs"] = list(saver.list(thread.config))
        saver.prune([thread.thread_id], strategy="keep_latest")
        seen["after prune"] = list(saver.list(thread.config))
        saver.delete_thread(thread.thread_id)
        seen["after delete_thread"] = list(saver.list(thread.config))
        return seen

    run = f"run of {thread.thread_id}"
    copy = Thread(saver, f"copy of {thread.thread_id}")
    seen = await asyncio.to_thread(work)
    assert seen["latest"].checkpoint["channel_values"] == {"items": [1, 2]}
    assert seen["value"] == seen["latest"].checkpoint
    assert seen["first"].pending_writes == [("task", "items", [2]), ("task", "log", "l")]
    assert [plain(each) for each in seen["list"]] == [plain(seen["latest"]), plain(seen["first"])]
    assert seen["delta"] == {"log": {"writes": [("task", "log", "l")]}}
    assert [id_of(each.config) for each in seen["copy"]] == [
        id_of(each.config) for each in seen["list"]
    ]
    assert len(seen["after delete_for_runs"]) == len(seen["after prune"]) == 1
    assert seen["after delete_thread"] == []
    assert len(await copy.through(other).history()) == 1


async def test_many_threads_may_call_at_once(saver: BaseCheckpointSaver) -> None:
    def talk(thread: Thread) -> list[Any]:
        config = thread.config
        for n in range(5):
            made = checkpoint({"items": [*range(n)]}, {"items": n + 1})
            config = saver.put(config, made, {}, {"items": n + 1})
            saver.put_writes(config, [("items", n)], "task")
        return [each.checkpoint["channel_values"]["items"] for each in saver.list(thread.config)]

    threads = [Thread(saver) for _ in range(12)]
    for found in await asyncio.gather(*(asyncio.to_thread(talk, each) for each in threads)):
        assert found == [[*range(n)] for n in (4, 3, 2, 1, 0)]


async def test_a_call_on_the_loops_own_thread_raises_instead_of_waiting_for_itself(
    saver: BaseCheckpointSaver, thread: Thread
) -> None:
    await thread.put({"items": [1]})
    calls = {
        "get_tuple": lambda: saver.get_tuple(thread.config),
        "get": lambda: saver.get(thread.config),
        "list": lambda: list(saver.list(thread.config)),
        "list of everything": lambda: list(saver.list(None)),
        "put": lambda: saver.put(thread.config, checkpoint({}, {}), {}, {}),
        "put_writes": lambda: saver.put_writes(thread.last, [("a", 1)], "task"),
        "delete_thread": lambda: saver.delete_thread(thread.thread_id),
        "delete_for_runs": lambda: saver.delete_for_runs(["run"]),
        "copy_thread": lambda: saver.copy_thread(thread.thread_id, "copy"),
        "prune": lambda: saver.prune([thread.thread_id]),
        "delta": lambda: saver.get_delta_channel_history(config=thread.config, channels=["log"]),
    }
    for call in calls.values():
        with pytest.raises((RuntimeError, asyncio.InvalidStateError)):
            call()
    assert await thread.values() == {"items": [1]}
    assert await thread.writes() == []


async def test_an_error_reaches_the_calling_thread(
    saver: BaseCheckpointSaver, thread: Thread
) -> None:
    with pytest.raises(ValueError, match="strategy"):
        await asyncio.to_thread(saver.prune, [thread.thread_id], strategy="keep_some")


async def test_a_list_may_be_left_half_way_in_another_thread(
    saver: BaseCheckpointSaver, thread: Thread
) -> None:
    def first() -> Any:
        listing = saver.list(thread.config)
        found = next(listing)
        listing.close()
        return found

    for n in range(40):
        await thread.put({"n": n})
    for _ in range(20):  # more often than there are connections
        assert (await asyncio.to_thread(first)).checkpoint["channel_values"] == {"n": 39}
    assert len(await thread.history()) == 40
