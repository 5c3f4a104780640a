"""What becomes of the config a checkpoint is put with: little, for it holds secrets."""

from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph

from tests.checkpoints.backends import Backend, readings
from tests.checkpoints.threads import Thread

SECRET = "sk-0123456789-do-not-store"  # noqa: S105 - it is none
MARK = "this-text-is-stored-in-a-channel"
SECRETS = {
    "openai_api_key": SECRET,
    "db_password": SECRET + "2",
    "session": {"token": SECRET + "3"},
    "__pregel_secret": SECRET + "4",
}


async def stored(backend: Backend) -> bytes:
    return b"\0".join(readings(await backend.dump()))


async def test_a_secret_of_the_config_never_reaches_the_storage(empty: Backend) -> None:
    async with empty.open() as saver:
        thread = Thread(saver)
        # LangGraph copies what is configurable into the config's metadata.
        await thread.put({"items": [MARK]}, configurable=SECRETS, tags=SECRETS)
        config = {"configurable": thread.last["configurable"] | SECRETS, "metadata": SECRETS}
        await saver.aput_writes(config, [("items", ["written"])], "task")
        assert SECRET not in repr(await thread.read())
        seen = await stored(empty)
        assert MARK.encode() in seen  # or this test looks in the wrong place
        assert SECRET.encode() not in seen


async def test_a_graph_run_with_a_secret_does_not_store_it(empty: Backend) -> None:
    class State(TypedDict):
        text: Annotated[list[str], lambda old, new: old + new]

    builder = StateGraph(State)
    builder.add_node("say", lambda state: {"text": [MARK]})
    builder.add_edge(START, "say")
    inner = builder.compile(checkpointer=True)
    outer = StateGraph(State).add_node("inner", inner).add_edge(START, "inner")
    async with empty.open() as saver:
        graph = outer.compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "t"} | SECRETS}
        await graph.ainvoke({"text": ["hello"]}, config)
        await graph.aupdate_state(config, {"text": ["more"]})
        seen = await stored(empty)
        assert MARK.encode() in seen
        assert SECRET.encode() not in seen


async def test_keys_that_were_asked_for_are_kept_and_found(
    backend: Backend, other: BaseCheckpointSaver
) -> None:
    async with backend.open(metadata_keys=["tenant"]) as saver:
        thread = Thread(saver)
        await thread.put({}, configurable={"tenant": "acme", "openai_api_key": SECRET})
        await thread.put({}, configurable={"tenant": "other"})
        for reader in (thread, thread.through(other)):
            (found,) = await reader.history(filter={"tenant": "acme"})
            assert found.metadata["tenant"] == "acme"
            assert "openai_api_key" not in found.metadata


async def test_the_run_is_kept_wherever_it_is_named(thread: Thread) -> None:
    run = f"run of {thread.thread_id}"
    await thread.put({}, configurable={"run_id": run})
    await thread.put({}, tags={"run_id": run})
    await thread.put({}, metadata={"run_id": run})
    assert [found.metadata["run_id"] for found in await thread.history()] == [run] * 3
    assert len(await thread.history(filter={"run_id": run})) == 3
    await thread.saver.adelete_for_runs([run])
    assert await thread.history() == []


async def test_what_addresses_a_checkpoint_is_not_repeated_in_its_metadata(thread: Thread) -> None:
    await thread.put({})
    await thread.put({}, tags={"langgraph_step": 1, "checkpoint_ns": "x", "thread_id": "y"})
    assert set((await thread.read()).metadata) == {"source", "step", "parents"}


async def test_metadata_reads_back_as_given(thread: Thread, other: BaseCheckpointSaver) -> None:
    metadata = {
        "source": "update",
        "step": -1,
        "parents": {"": "p", "é ✓": "q"},
        "counters_since_delta_snapshot": {"log": [1, 2]},
        "custom": {"deep": [1, None, True, {"er": 1.5}]},
        "empty": None,
        "text": "straße 🙂",
    }
    await thread.put({}, metadata=metadata)
    for reader in (thread, thread.through(other)):
        assert (await reader.read()).metadata == metadata


@pytest.mark.parametrize("strange", [object(), lambda: None, {"deep": object()}, "\ud800", "\0"])
async def test_strange_things_in_the_configs_metadata_do_no_harm(
    thread: Thread, strange: object
) -> None:
    await thread.put({"items": [1]}, tags={"strange": strange}, configurable={"odd": strange})
    await thread.write(("items", [2]))
    assert await thread.values() == {"items": [1]}
    assert len(await thread.history()) == 1
