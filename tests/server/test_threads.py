import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
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


async def test_a_new_thread_has_eight_fields(client: LangGraphClient) -> None:
    thread = await client.threads.create(metadata={"u": "1"}, graph_id="chat")
    assert set(thread) == {
        "thread_id",
        "created_at",
        "updated_at",
        "state_updated_at",
        "metadata",
        "status",
        "config",
        "values",
    }
    assert thread["metadata"] == {"u": "1", "graph_id": "chat"}
    assert (thread["status"], thread["values"]) == ("idle", None)
    assert str(thread["created_at"]).endswith("+00:00")
    assert await client.threads.get(thread["thread_id"]) == thread


async def test_a_taken_id_is_a_conflict_unless_the_thread_is_wanted(
    client: LangGraphClient, tid: str
) -> None:
    with pytest.raises(ConflictError, match=f"Thread with ID {tid} already exists"):
        await client.threads.create(thread_id=tid)
    thread = await client.threads.create(
        thread_id=tid, if_exists="do_nothing", metadata={"ignored": 1}
    )
    assert (thread["thread_id"], thread["metadata"]) == (tid, {})


async def test_what_is_missing_is_missing(client: LangGraphClient) -> None:
    missing = str(uuid4())
    with pytest.raises(NotFoundError, match=f"Thread with ID {missing} not found"):
        await client.threads.get(missing)
    with pytest.raises(NotFoundError):
        await client.threads.update(missing, metadata={})
    with pytest.raises(NotFoundError):
        await client.threads.delete(missing)
    with pytest.raises(NotFoundError):
        await client.threads.get_state(missing)
    with pytest.raises(NotFoundError):
        await client.threads.get_history(missing)
    with pytest.raises(UnprocessableEntityError, match="Invalid thread ID: must be a UUID"):
        await client.threads.get("abc")


async def test_a_patch_merges_metadata(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    await client.threads.update(tid, metadata={"a": 1, "b": {"c": 1}})
    thread: Any = await client.threads.update(tid, metadata={"b": None})
    assert thread["metadata"] == {"a": 1, "b": None}
    assert thread["updated_at"] > thread["state_updated_at"]
    headers = {"prefer": "return=minimal"}
    response = await raw.patch(f"/threads/{tid}", json={"metadata": {"d": 1}}, headers=headers)
    assert (response.status_code, response.content) == (204, b"")


async def test_a_thread_can_be_deleted_while_it_works(client: LangGraphClient, tid: str) -> None:
    run: Any = await client.runs.create(tid, "work", input={"mode": "slow", "secs": 30})
    joining = asyncio.create_task(client.runs.join(tid, run["run_id"]))
    await asyncio.sleep(0.2)
    await client.threads.delete(tid)
    await asyncio.wait_for(joining, 5)
    with pytest.raises(NotFoundError):
        await client.threads.get(tid)


async def test_threads_are_found_by_what_they_are(client: LangGraphClient) -> None:
    tag = str(uuid4())
    for number in range(5):
        metadata = {"tag": tag, "n": number, "nested": {"a": 1, "b": [1, 2]}}
        await client.threads.create(metadata=metadata)
    found = await client.threads.search(metadata={"tag": tag})
    assert [thread["metadata"]["n"] for thread in found] == [4, 3, 2, 1, 0]  # type: ignore[index]
    nested = {"tag": tag, "nested": {"a": 1}}
    assert len(await client.threads.search(metadata=nested, limit=3)) == 3
    assert await client.threads.count(metadata=nested) == 5
    assert await client.threads.search(metadata={"tag": tag}, status="busy") == []
    found = await client.threads.search(
        metadata={"tag": tag}, sort_by="created_at", sort_order="asc", offset=3
    )
    assert [thread["metadata"]["n"] for thread in found] == [3, 4]  # type: ignore[index]
    ids: Any = [found[0]["thread_id"], str(uuid4())]
    assert await client.threads.search(ids=ids) == found[:1]
    with pytest.raises(BadRequestError, match="Invalid thread ID abc"):
        await client.threads.search(ids=["abc"])
    chosen: Any = ["thread_id", "status"]
    (row, *_) = await client.threads.search(metadata={"tag": tag}, select=chosen)
    assert set(row) == {"thread_id", "status"}


async def test_threads_are_found_by_their_values(client: LangGraphClient, tid: str) -> None:
    topic = str(uuid4())
    await client.runs.wait(tid, "approval", input={"topic": topic})
    found = await client.threads.search(values={"topic": topic})
    assert [thread["thread_id"] for thread in found] == [tid]
    assert found[0]["interrupts"]
    assert await client.threads.count(values={"topic": topic}, status="interrupted") == 1


async def test_pages_say_whether_there_are_more(raw: httpx.AsyncClient) -> None:
    tag = str(uuid4())
    for _ in range(5):
        await raw.post("/threads", json={"metadata": {"tag": tag}})
    seen = {}
    for offset in (0, 2, 4, 40):
        body = {"metadata": {"tag": tag}, "limit": 2, "offset": offset}
        headers = (await raw.post("/threads/search", json=body)).headers
        seen[offset] = headers["x-pagination-total"], headers.get("x-pagination-next")
    assert seen == {0: ("3", "2"), 2: ("5", "4"), 4: ("5", None), 40: ("40", None)}
    for limit in (0, 1001):
        response = await raw.post("/threads/search", json={"limit": limit})
        assert response.status_code == 422
        assert isinstance(response.json()["detail"], str)


async def test_bodies_need_no_content_type_but_must_be_json(raw: httpx.AsyncClient) -> None:
    headers = {"content-type": "text/plain;charset=UTF-8"}
    response = await raw.post("/threads/search", content=b'{"limit": 1}', headers=headers)
    assert response.status_code == 200
    for content in (b"", b"{", b'"text"'):
        response = await raw.post("/threads", content=content)
        assert response.status_code == 422
        assert response.json() == {"detail": "Invalid JSON in request body"}


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


async def test_text_that_a_database_cannot_hold_is_no_error(
    client: LangGraphClient, tid: str
) -> None:
    await client.threads.update(tid, metadata={"name": "a\0b"})
    await client.runs.wait(tid, "approval", input={"topic": "x\0y"})
    thread: Any = await client.threads.get(tid)
    assert thread["metadata"]["name"] == "a\ufffdb"
    assert thread["values"]["topic"] == "x\ufffdy"
    assert await client.threads.count(values={"topic": "x\ufffdy"}) == 1


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


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/threads/search", {"offset": 10**30}),
        ("/threads/search", {"metadata": [1]}),
        ("/threads/{tid}/state/checkpoint", {}),
        ("/threads/{tid}/state/checkpoint", {"checkpoint": {"checkpoint_id": 1}}),
        ("/threads/{tid}/history", {"limit": "many"}),
        ("/threads/{tid}/state", {"values": {}, "as_node": 1}),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_not_crashed_on(
    raw: httpx.AsyncClient, client: LangGraphClient, tid: str, path: str, body: dict[str, Any]
) -> None:
    await client.runs.wait(tid, "work", input={"mode": "done"})
    response = await raw.post(path.format(tid=tid), json=body)
    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)
