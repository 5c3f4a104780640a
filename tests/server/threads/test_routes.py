import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)


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
    await asyncio.wait_for(joining, 25)
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
    for part, count in (({"a": 2}, 0), ({"b": [1]}, 0), ({"b": [1, 2]}, 5), ({}, 5), (None, 0)):
        within: Any = {"tag": tag, "nested": part}
        assert await client.threads.count(metadata=within) == count
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


async def test_text_that_a_database_cannot_hold_is_no_error(
    client: LangGraphClient, tid: str
) -> None:
    await client.threads.update(tid, metadata={"name": "a\0b"})
    await client.runs.wait(tid, "approval", input={"topic": "x\0y"})
    thread: Any = await client.threads.get(tid)
    assert thread["metadata"]["name"] == "a\ufffdb"
    assert thread["values"]["topic"] == "x\ufffdy"
    assert await client.threads.count(values={"topic": "x\ufffdy"}) == 1


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


async def test_foreign_and_wrong_ids_are_refused(
    guarded_api: str, raw: httpx.AsyncClient, tid: str
) -> None:
    async with get_client(url=guarded_api, api_key="their-secret") as theirs:
        with pytest.raises(ConflictError, match=f"Thread with ID {tid} already exists"):
            await theirs.threads.create(thread_id=tid, if_exists="do_nothing")
        with pytest.raises(ConflictError):
            await theirs.threads.copy(tid)
        assert await theirs.threads.prune([tid]) == {"pruned_count": 0}
        assert await theirs.threads.prune([tid], strategy="keep_latest") == {"pruned_count": 0}
    for path, body in (
        ("/threads", {"thread_id": "abc"}),
        ("/threads/prune", {"thread_ids": ["abc"]}),
    ):
        response = await raw.post(path, json=body)
        assert response.status_code == 422
        assert response.json() == {"detail": "Invalid thread ID: must be a UUID"}


async def test_a_thread_tells_when_it_expires_and_every_change_puts_that_off(
    client: LangGraphClient, tid: str
) -> None:
    made: Any = await client.threads.create(ttl=5)
    mine = str(made["thread_id"])
    assert "ttl" not in made

    async def ttl() -> Any:
        return (await client.threads.get(mine, include=["ttl"]))["ttl"]  # type: ignore[typeddict-item]

    first = await ttl()
    assert (first["strategy"], first["ttl_minutes"]) == ("delete", 5)
    left = datetime.fromisoformat(first["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert left == timedelta(minutes=5)
    await client.threads.update(mine, metadata={"a": 1})
    second = await ttl()
    assert second["expires_at"] > first["expires_at"]
    await client.runs.wait(mine, "work", input={"mode": "done"})
    assert (await ttl())["expires_at"] > second["expires_at"]
    keep: Any = {"ttl": 0.5, "strategy": "keep_latest"}
    await client.threads.update(mine, metadata={}, ttl=keep)
    assert {**await ttl(), "expires_at": None} == {
        "strategy": "keep_latest",
        "ttl_minutes": 0.5,
        "expires_at": None,
    }
    assert "ttl" not in await client.threads.get(tid, include=["ttl"])


@pytest.mark.parametrize(
    "ttl", [5, {"ttl": 0}, {"ttl": 5, "strategy": "x"}, {"ttl": 1e300}], ids=str
)
async def test_a_ttl_that_is_none_is_refused(raw: httpx.AsyncClient, tid: str, ttl: Any) -> None:
    assert (await raw.post("/threads", json={"ttl": ttl})).status_code == 422
    assert (await raw.patch(f"/threads/{tid}", json={"ttl": ttl})).status_code == 422


async def test_a_thread_can_be_given_a_past(client: LangGraphClient) -> None:
    thread: Any = await client.threads.create(
        graph_id="approval",
        supersteps=[
            {"updates": [{"values": {"topic": "a"}, "as_node": "__input__"}]},
            {"updates": [{"values": {"topic": "a"}, "as_node": "__start__"}]},
            {"updates": [{"values": {"draft": "d", "log": ["x"]}, "as_node": "write_draft"}]},
        ],
    )
    assert (thread["status"], thread["interrupts"]) == ("interrupted", {})
    assert thread["values"] == {"topic": "a", "draft": "d", "log": ["x"]}
    tid = thread["thread_id"]
    history: Any = await client.threads.get_history(tid)
    assert [one["metadata"]["source"] for one in history] == ["update", "update", "input"]
    assert history[0]["next"] == ["ask_human"]
    resumed: Any = await client.runs.wait(tid, "approval", input=None)
    assert resumed["__interrupt__"]
    jumped: Any = await client.threads.create(
        graph_id="approval",
        supersteps=[
            {"updates": [{"values": {"topic": "a"}, "as_node": "__input__"}]},
            {"updates": [{"values": {}, "command": {"goto": "publish"}, "as_node": "write_draft"}]},
        ],
    )
    state = await client.threads.get_state(jumped["thread_id"])
    assert state["next"] == ["ask_human", "publish"]


async def test_a_thread_whose_past_makes_no_sense_is_there_all_the_same(
    client: LangGraphClient, raw: httpx.AsyncClient
) -> None:
    past = [{"updates": [{"values": {"topic": "a"}, "as_node": "__input__"}]}]
    for metadata, problem in (
        ({"graph_id": "nope"}, "Graph 'nope' not found. "),
        ({}, "Thread '{}' has no assigned graph ID. "),
    ):
        mine = str(uuid4())
        body = {"thread_id": mine, "metadata": metadata, "supersteps": past}
        response = await raw.post("/threads", json=body)
        text = f"Thread {mine} was created, but there were problems updating the state: "
        assert response.status_code == 201
        assert response.json()["detail"].startswith(text + problem.format(mine))
        assert (await client.threads.get(mine))["metadata"] == metadata
    for steps, status in (
        ([{"updates": []}], 400),
        ([{"updates": [{"values": {}, "as_node": "nope"}]}], 400),
        ([{"updates": [{"values": {}}]}], 422),
    ):
        body = {"metadata": {"graph_id": "approval"}, "supersteps": steps}
        assert (await raw.post("/threads", json=body)).status_code == status
    made = await raw.post("/threads", json={"supersteps": []})
    assert (made.status_code, made.json()["values"]) == (200, None)


async def test_values_can_be_extracted_from_what_is_found(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    tag = str(uuid4())
    await client.threads.update(tid, metadata={"tag": tag, "n": 0, "nested": {"list": [[1, 2]]}})
    await client.runs.wait(tid, "chat", input={"messages": [{"role": "user", "content": "hi"}]})
    chosen: Any = ["thread_id", "context", "error"]
    (row,) = await client.threads.search(
        metadata={"tag": tag},
        select=chosen,
        extract={
            "last": "values.messages[-1].content",
            "n": "metadata.n",
            "deep": "metadata.nested.list[0][1]",
            "whole": "interrupts",
            "all": "values.messages[*].type",
            "odd": "values.messages[",
            "gone": "values.messages[7]",
            "far": f"values.messages[{'9' * 5_000}]",
        },
    )
    assert row == {
        "thread_id": tid,
        "error": None,
        "extracted": {
            "last": "Hello there dear user",
            "n": 0,
            "deep": 2,
            "whole": {},
            "all": None,
            "odd": None,
            "gone": None,
            "far": None,
        },
    }
    plain: Any = ["thread_id"]
    assert await client.threads.search(ids=[tid], extract={}, select=plain) == [{"thread_id": tid}]
    for paths, problem in (
        ({"a": "bogus.x"}, "Extract path 'bogus.x' must start with one of: config, interrupts, "),
        ({"a b": "values"}, "Extract key 'a b' must be a valid identifier (letters, digits, unde"),
        ({"status": "values"}, "Extract keys cannot use reserved field names: ['status']"),
        ({f"k{n}": "values" for n in range(11)}, "extract: "),
    ):
        response = await raw.post("/threads/search", json={"extract": paths})
        assert response.status_code == 422
        assert response.json()["detail"].startswith(problem)


async def test_a_copy_is_as_its_source_and_goes_its_own_way(
    client: LangGraphClient, tid: str
) -> None:
    await client.threads.update(tid, metadata={"a": 1})
    await client.runs.wait(tid, "approval", input={"topic": "cats"})
    source: Any = await client.threads.get(tid)
    copied: Any = await client.threads.copy(tid)
    mine = copied["thread_id"]
    assert mine != tid
    same = ("status", "values", "interrupts", "metadata", "config", "error")
    assert [copied[name] for name in same] == [source[name] for name in same]
    assert copied["status"] == "interrupted"
    assert await client.threads.get(mine) == copied
    assert await client.runs.list(mine) == []
    theirs: Any = await client.threads.get_history(tid)
    ours: Any = await client.threads.get_history(mine)
    assert [one["checkpoint_id"] for one in ours] == [one["checkpoint_id"] for one in theirs]
    assert {one["checkpoint"]["thread_id"] for one in ours} == {mine}
    values: Any = await client.runs.wait(mine, "approval", command={"resume": "yes"})
    assert values["log"] == ["write_draft", "human:yes", "publish"]
    assert await client.threads.get(tid) == source
    with pytest.raises(ConflictError, match="Conflict"):
        await client.threads.copy(str(uuid4()))


async def test_a_copy_keeps_what_is_undone_in_its_source(client: LangGraphClient, tid: str) -> None:
    run: Any = await client.runs.create(tid, "work", input={"mode": "done"})
    await client.runs.join(tid, run["run_id"])
    slow: Any = {"mode": "slow", "secs": 30}
    undone: Any = await client.runs.create(tid, "work", input=slow)
    while (await client.threads.get_state(tid))["next"] != ["slow"]:
        await asyncio.sleep(0.05)
    copied: Any = await client.threads.copy(tid)
    mine = copied["thread_id"]
    assert (copied["status"], copied["values"]["mode"]) == ("interrupted", "slow")
    assert (await client.threads.get_state(mine))["next"] == ["slow"]
    await client.runs.cancel(tid, undone["run_id"], wait=True, action="rollback")
    await client.runs.delete(tid, run["run_id"])
    assert await client.threads.get_history(tid) == []
    history: Any = await client.threads.get_history(mine)
    runs = {one["metadata"]["run_id"] for one in history}
    assert runs == {run["run_id"], undone["run_id"]}


async def test_pruning_deletes_threads_or_all_but_their_latest_checkpoint(
    client: LangGraphClient, tid: str
) -> None:
    made: Any = [await client.threads.create() for _ in range(2)]
    gone, busy = (str(one["thread_id"]) for one in made)
    values = await client.runs.wait(tid, "work", input={"mode": "done"})
    head = await client.threads.get_state(tid)
    run: Any = await client.runs.create(busy, "work", input={"mode": "slow", "secs": 30})
    pruned = await client.threads.prune([tid, busy, str(uuid4())], strategy="keep_latest")
    assert pruned == {"pruned_count": 1}
    (state,) = await client.threads.get_history(tid)
    assert (state["values"], state["checkpoint"]) == (values, head["checkpoint"])
    assert (await client.runs.get(busy, run["run_id"]))["status"] in {"pending", "running"}
    assert await client.threads.prune([gone, busy, gone, str(uuid4())]) == {"pruned_count": 2}
    for one in (gone, busy):
        with pytest.raises(NotFoundError):
            await client.threads.get(one)


async def test_a_thread_tells_how_much_room_it_takes(
    client: LangGraphClient, raw: httpx.AsyncClient, tid: str
) -> None:
    empty = (await raw.get(f"/threads/{tid}/storage")).json()
    nothing = {"count": 0, "bytes": 0}
    assert empty == {
        "thread_id": tid,
        "total_bytes": 0,
        "checkpoints": nothing,
        "channel_values": {**nothing, "by_channel": {}},
        "pending_writes": nothing,
    }
    await client.runs.wait(tid, "approval", input={"topic": "cats " * 200})
    found = (await raw.get(f"/threads/{tid}/storage")).json()
    parts = ("checkpoints", "channel_values", "pending_writes")
    assert found["total_bytes"] == sum(found[part]["bytes"] for part in parts)
    assert found["checkpoints"]["count"] == len(await client.threads.get_history(tid))
    assert found["channel_values"]["by_channel"]["topic"]["versions"] == 1
    assert found["channel_values"]["by_channel"]["topic"]["bytes"] > 0
    missing = str(uuid4())
    response = await raw.get(f"/threads/{missing}/storage")
    assert response.json() == {"detail": f"Thread with ID {missing} not found"}
