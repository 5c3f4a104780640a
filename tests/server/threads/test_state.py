from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    UnprocessableEntityError,
)

EMPTY = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


async def test_a_thread_without_checkpoints_has_an_empty_state(
    client: LangGraphClient, tid: str
) -> None:
    assert await client.threads.get_state(tid) == EMPTY
    assert await client.threads.get_history(tid) == []


async def test_an_unknown_checkpoint_has_an_empty_state(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    for unknown in (str(uuid4()), "abc"):
        state = await client.threads.get_state(tid, checkpoint_id=unknown)
        assert state["values"] == {}
        assert state["checkpoint"]["checkpoint_id"] == unknown
        assert state["checkpoint"]["thread_id"] == tid


async def test_the_state_of_an_interrupted_thread(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "approval", input={"topic": "cats"}, metadata={"m": 1})
    state: Any = await client.threads.get_state(tid)
    assert state["values"]["log"] == ["write_draft"]
    assert state["next"] == ["ask_human"]
    (task,) = state["tasks"]
    assert task["path"] == ["__pregel_pull", "ask_human"]
    assert (task["error"], task["checkpoint"], task["state"], task["result"]) == (None,) * 4
    assert task["interrupts"] == state["interrupts"]
    assert set(state["interrupts"][0]) == {"id", "value"}
    assert state["checkpoint"] == {
        "checkpoint_id": state["checkpoint_id"],
        "thread_id": tid,
        "checkpoint_ns": "",
    }
    assert state["parent_checkpoint"]["checkpoint_id"] == state["parent_checkpoint_id"]
    metadata = state["metadata"]
    assert (metadata["source"], metadata["step"], metadata["m"]) == ("loop", 1, 1)
    assert (metadata["graph_id"], metadata["thread_id"]) == ("approval", tid)
    assert metadata["run_attempt"] == 1


async def test_the_state_of_a_subgraph_is_shown_on_request(
    client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "child"}, interrupt_before=["child"])
    state: Any = await client.threads.get_state(tid)
    (task,) = state["tasks"]
    namespace = f"child:{task['id']}"
    assert task["checkpoint"] == {"thread_id": tid, "checkpoint_ns": namespace}
    state = await client.threads.get_state(tid, subgraphs=True)
    assert state["tasks"][0]["checkpoint"] is None
    await client.runs.wait(tid, "work", input=None)
    inner: Any = await client.threads.get_state(tid, checkpoint={"checkpoint_ns": namespace})  # type: ignore[typeddict-item]
    assert inner["values"]["steps"] == ["prep", "sub_a", "sub_b"]
    history = await client.threads.get_history(tid, checkpoint={"checkpoint_ns": namespace})  # type: ignore[typeddict-item]
    assert [one["checkpoint"]["checkpoint_ns"] for one in history] == [namespace] * len(history)


async def test_a_checkpoint_cannot_lead_to_another_thread(
    client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "approval", input={"topic": "secret"})
    mine: Any = await client.threads.create(graph_id="approval")
    theirs: Any = (await client.threads.get_state(tid))["checkpoint"]
    state = await client.threads.get_state(mine["thread_id"], checkpoint=theirs)
    assert state["values"] == {}
    await client.threads.update_state(mine["thread_id"], {"topic": "x"}, checkpoint=theirs)
    assert (await client.threads.get(tid))["values"]["topic"] == "secret"  # type: ignore[index,call-overload]


async def test_history_is_newest_first_and_pages_back(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    history: Any = await client.threads.get_history(tid)
    assert [state["metadata"]["step"] for state in history] == [2, 1, 0, -1]
    assert history[0]["parent_checkpoint"] == history[1]["checkpoint"]
    assert await client.threads.get_history(tid, limit=2) == history[:2]
    (first,) = await client.threads.get_history(tid, metadata={"step": 0})
    assert first == history[2]
    assert await client.threads.get_history(tid, metadata={"source": "input"}) == history[3:]


async def test_history_before_a_checkpoint_in_all_its_spellings(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    history: Any = await client.threads.get_history(tid)
    checkpoint = history[0]["checkpoint"]
    before_id = checkpoint["checkpoint_id"]
    for before in (checkpoint, {"configurable": {"checkpoint_id": before_id}}, before_id):
        response = await raw.post(f"/threads/{tid}/history", json={"before": before})
        assert response.json() == history[1:]
    response = await raw.get(f"/threads/{tid}/history", params={"limit": 2, "before": before_id})
    assert response.json() == history[1:3]


async def test_an_update_writes_a_checkpoint_and_changes_the_threads_status(
    client: LangGraphClient,
) -> None:
    thread: Any = await client.threads.create(graph_id="approval")
    tid = thread["thread_id"]
    written: Any = await client.threads.update_state(tid, {"topic": "s"}, as_node="__start__")
    assert written["checkpoint"] == written["configurable"]
    assert written["checkpoint_id"] == written["checkpoint"]["checkpoint_id"]
    thread = await client.threads.get(tid)
    assert (thread["status"], thread["interrupts"]) == ("interrupted", {})
    assert thread["values"] == {"topic": "s", "log": []}
    values = await client.runs.wait(tid, "approval", input=None)
    assert values["draft"] == "draft about s"


async def test_editing_an_interrupted_thread_drops_its_interrupt(
    client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    await client.threads.update_state(tid, {"log": ["edited"]}, as_node="ask_human")
    thread = await client.threads.get(tid)
    assert (thread["status"], thread["interrupts"]) == ("interrupted", {})
    assert (await client.threads.get_state(tid))["next"] == ["publish"]
    values: Any = await client.runs.wait(tid, "approval", input=None)
    assert values["log"] == ["write_draft", "edited", "publish"]


async def test_an_update_can_fork_from_the_past(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    history: Any = await client.threads.get_history(tid)
    start = history[1]["checkpoint"]
    forked = await client.threads.update_state(
        tid, {"draft": "mine"}, as_node="write_draft", checkpoint=start
    )
    head: Any = await client.threads.get_state(tid)
    assert head["checkpoint"] == forked["checkpoint"]
    assert head["parent_checkpoint"] == start
    assert (head["values"]["draft"], head["next"]) == ("mine", ["ask_human"])


async def test_copying_a_checkpoint_makes_a_sibling_to_run_again(
    client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    history: Any = await client.threads.get_history(tid)
    source = next(state for state in history if state["next"] == ["done"])
    copied: Any = await client.threads.update_state(
        tid, None, as_node="__copy__", checkpoint_id=source["checkpoint_id"]
    )
    head: Any = await client.threads.get_state(tid)
    assert head["metadata"]["source"] == "fork"
    assert (head["values"], head["next"]) == (source["values"], source["next"])
    asked: Any = {"input": None, "checkpoint": copied["checkpoint"]}
    assert (await client.runs.wait(tid, "work", **asked))["steps"] == ["prep", "done"]


async def test_updates_that_make_no_sense_are_refused(client: LangGraphClient, tid: str) -> None:
    with pytest.raises(BadRequestError, match="has no assigned graph ID"):
        await client.threads.update_state(tid, {})
    await client.runs.wait(tid, "work", input={"mode": "done"})
    for node in ("nope", "__end__"):
        with pytest.raises(BadRequestError, match=f"Node {node} does not exist"):
            await client.threads.update_state(tid, {}, as_node=node)
    with pytest.raises(BadRequestError, match="Expected dict, got"):
        await client.threads.update_state(tid, [{"a": 1}], as_node="prep")
    await client.threads.update_state(tid, {"unheard": 1}, as_node="prep")
    await client.runs.create(tid, "work", input={"mode": "slow", "secs": 0.3})
    with pytest.raises(ConflictError, match="has in-flight runs"):
        await client.threads.update_state(tid, {}, as_node="prep")


async def test_nothing_is_built_on_an_id_that_no_checkpoint_can_have(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    values: Any = await client.runs.wait(tid, "work", input={"mode": "done"})
    odd = {"checkpoint": {"checkpoint_id": "nope"}}
    edit = {"values": {"steps": ["x"]}, "as_node": "done"}
    response = await raw.post(f"/threads/{tid}/state", json={**edit, **odd})
    assert response.status_code == 422
    assert "'nope'" in response.json()["detail"]
    asked = {"assistant_id": "work", "input": {"mode": "done"}}
    response = await raw.post(f"/threads/{tid}/runs/wait", json={**asked, **odd})
    assert "'nope'" in response.json()["__error__"]["message"]
    assert (await client.threads.get_state(tid))["values"] == values


@pytest.mark.parametrize("odd", ["a\0", "nope", "00000000-0000-0000-0000-000000000000"])
async def test_an_id_that_no_checkpoint_has_finds_nothing(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, odd: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    pointer = {"checkpoint_id": odd}
    response = await raw.post(f"/threads/{tid}/history", json={"before": {"configurable": pointer}})
    assert response.json() == []
    response = await raw.post(f"/threads/{tid}/state/checkpoint", json={"checkpoint": pointer})
    assert response.json()["values"] == {}


async def test_only_what_is_chosen_of_a_state_is_shown(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    whole: Any = await client.threads.get_state(tid)
    chosen = ["next", "values.steps", "values.nothing"]
    some = {"next": [], "values": {"steps": ["prep", "done"]}}
    assert await client.threads.get_state(tid, select=chosen) == some
    at = whole["checkpoint"]
    for place in ({"checkpoint": at}, {"checkpoint_id": at["checkpoint_id"]}):
        assert await client.threads.get_state(tid, select=chosen, **place) == some
    history = await client.threads.get_history(tid, select=["checkpoint"], limit=1)
    assert history == [{"checkpoint": at}]
    params: Any = {"select": ["metadata,values.mode", "values"]}
    for path in ("state", f"state/{at['checkpoint_id']}"):
        row = (await raw.get(f"/threads/{tid}/{path}", params=params)).json()
        assert row == {"metadata": whole["metadata"], "values": whole["values"]}
    (row,) = (
        await raw.get(f"/threads/{tid}/history", params={"limit": 1, "select": "next"})
    ).json()
    assert row == {"next": []}
    assert (await raw.get(f"/threads/{tid}/history", params={"limit": 0})).json() == []
    response = await raw.get(f"/threads/{tid}/state", params={"select": "bogus"})
    assert response.status_code == 422


async def test_metadata_can_be_added_to_the_latest_state(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    response = await raw.patch(f"/threads/{tid}/state", json={"metadata": {"b": 1}})
    assert (response.status_code, response.json()) == (200, {})
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    before: Any = await client.threads.get_history(tid)
    added = {"a": 1, "step": 99, "source": "odd"}
    await raw.patch(f"/threads/{tid}/state", json={"metadata": added})
    head, *past = await client.threads.get_history(tid)
    assert head == {**before[0], "metadata": {**before[0]["metadata"], "a": 1}}
    assert past == before[1:]
    assert (await client.threads.get(tid))["metadata"].items() >= {**added, "b": 1}.items()  # type: ignore[union-attr]
    values: Any = await client.runs.wait(tid, "approval", command={"resume": "yes"})
    assert values["log"] == ["write_draft", "human:yes", "publish"]
    missing = await raw.patch(f"/threads/{uuid4()}/state", json={"metadata": {}})
    assert missing.status_code == 404


async def test_what_a_reducer_cannot_take_is_refused(client: LangGraphClient, tid: str) -> None:
    await client.runs.wait(tid, "chat", input={"messages": [{"role": "user", "content": "hi"}]})
    before: Any = await client.threads.get_state(tid)
    for wrong in ([{"role": "odd"}], [{"content": 3.5, "type": "human"}], 7):
        with pytest.raises(BadRequestError, match="The graph cannot take this"):
            await client.threads.update_state(tid, {"messages": wrong}, as_node="model")
    for text in ("text", 7):
        with pytest.raises(UnprocessableEntityError):
            await client.threads.update_state(tid, text, as_node="model")  # type: ignore[arg-type]
    assert await client.threads.get_state(tid) == before


async def test_an_input_can_be_written_as_if_a_run_had_begun(
    client: LangGraphClient, tid: str
) -> None:
    await client.threads.update(tid, metadata={"graph_id": "approval"})
    await client.threads.update_state(tid, {"topic": "s"}, as_node="__input__")
    state: Any = await client.threads.get_state(tid)
    assert (state["metadata"]["source"], state["next"]) == ("input", ["__start__"])
    assert (await client.threads.get(tid))["status"] == "interrupted"
    assert (await client.runs.wait(tid, "approval", input=None))["draft"] == "draft about s"  # type: ignore[index,call-overload]


async def test_a_copied_checkpoint_can_be_changed_on_the_way(
    client: LangGraphClient, tid: str
) -> None:
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    head: Any = await client.threads.get_state(tid)
    edits: Any = [[{"log": ["said"]}, "ask_human"]]
    await client.threads.update_state(
        tid, edits, as_node="__copy__", checkpoint_id=head["checkpoint_id"]
    )
    state: Any = await client.threads.get_state(tid)
    assert (state["values"]["log"], state["next"]) == (["write_draft", "said"], ["publish"])
