"""Threads and their search."""

from uuid import uuid4

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario
from tests.api.table import RUN


@scenario("POST /threads 200")
async def create(api: Api) -> None:
    asked = str(uuid4())
    body = {"thread_id": asked, "metadata": {"a": 1}, "ttl": {"ttl": 5, "strategy": "delete"}}
    found = (await api.call("POST", "/threads", body)).must(200)
    assert (found["thread_id"], found["status"], found["values"]) == (asked, "idle", None)
    again = {"thread_id": asked, "metadata": {"b": 2}, "if_exists": "do_nothing"}
    assert (await api.call("POST", "/threads", again)).must(200)["metadata"] == {"a": 1}
    (await api.call("POST", "/threads", {"supersteps": []})).must(200)
    steps = [
        {"updates": [{"values": {"topic": "x"}, "as_node": "__input__"}]},
        {"updates": [{"values": {"draft": "d"}, "command": None, "as_node": "write_draft"}]},
    ]
    body = {"metadata": {"graph_id": "approval"}, "supersteps": steps}
    found = (await api.call("POST", "/threads", body)).must(200)
    state = (await api.call("GET", f"/threads/{found['thread_id']}/state")).must(200)
    assert (state["values"]["draft"], state["next"]) == ("d", ["ask_human"])
    history = await api.sdk.threads.get_history(found["thread_id"])
    api.tell("sources", [one["metadata"]["source"] for one in history])


@scenario("POST /threads 201")
async def create_with_bad_steps(api: Api) -> None:
    steps = [{"updates": [{"values": {"topic": "x"}, "as_node": "__input__"}]}]
    body = {"thread_id": str(uuid4()), "metadata": {"graph_id": "nope"}, "supersteps": steps}
    answer = await api.call("POST", "/threads", body)
    answer.must(201)
    assert answer.detail.startswith(f"Thread {body['thread_id']} was created, but there were")
    (await api.call("GET", f"/threads/{body['thread_id']}")).must(200)


@scenario("POST /threads 409")
async def create_twice(api: Api) -> None:
    thread = await api.thread()
    answer = await api.call("POST", "/threads", {"thread_id": thread})
    answer.must(409)
    assert answer.detail == f"Thread with ID {thread} already exists"


@scenario("POST /threads/search 200")
async def search(api: Api) -> None:
    tag = str(uuid4())
    nested = [{"a": 1, "b": [1, 2]}, {"a": 2}, {"a": 1}]
    ids = [await api.thread(metadata={"tag": tag, "n": n, "in": nested[n]}) for n in range(3)]
    await api.sdk.runs.wait(ids[1], "approval", input={"topic": "cats"})
    await api.settled(ids[1])

    async def found(**asked: object) -> list[int]:
        body = {"metadata": {"tag": tag}, "sort_by": "created_at", "sort_order": "asc", **asked}
        answer = await api.call("POST", "/threads/search", body)
        return [ids.index(one["thread_id"]) for one in answer.must(200)]

    assert await found() == [0, 1, 2]
    assert await found(metadata={"tag": tag, "in": {"a": 1}}) == [0, 2]
    assert await found(status="interrupted") == [1]
    assert await found(ids=[ids[2], ids[0], ABSENT]) == [0, 2]
    assert await found(limit=2) == [0, 1]
    assert await found(limit=2, offset=2) == [2]
    assert await found(offset=40) == []
    assert await found(sort_by="updated_at", sort_order="desc") == [1, 2, 0]
    assert await found(select=["thread_id", "status", "values", "interrupts", "config"]) == [
        0,
        1,
        2,
    ]
    paths = {
        "last": "values.log[-1]",
        "n": "metadata.n",
        "all": "values.log[*]",
        "no": "values.x.y",
    }
    body = {"metadata": {"tag": tag, "n": 1}, "extract": paths, "select": ["thread_id"]}
    [one] = (await api.call("POST", "/threads/search", body)).must(200)
    assert one["extracted"] == {"last": "write_draft", "n": 1, "all": None, "no": None}


@scenario("search threads by a part of a list")
async def search_by_part(api: Api) -> None:
    tag = str(uuid4())
    await api.thread(metadata={"tag": tag, "list": [1, 2]})
    for asked, number in (([1, 2], 1), ([1], 0)):
        body = {"metadata": {"tag": tag, "list": asked}}
        assert len((await api.call("POST", "/threads/search", body)).must(200)) == number


@scenario("unknown columns of nothing that is found")
async def search_unknown(api: Api) -> None:
    body = {"metadata": {"tag": str(uuid4())}, "select": ["bogus"]}
    for path in ("/threads/search", "/assistants/search", "/runs/crons/search"):
        (await api.call("POST", path, body)).must(422)


@scenario("POST /threads/search 400")
async def search_bad_id(api: Api) -> None:
    (await api.call("POST", "/threads/search", {"ids": ["abc"]})).must(400)


@scenario("search threads by values")
async def search_by_values(api: Api) -> None:
    tag = str(uuid4())
    thread = await api.thread(metadata={"tag": tag})
    await api.thread(metadata={"tag": tag})
    await api.sdk.runs.wait(thread, "approval", input={"topic": tag})
    await api.settled(thread)
    body = {"metadata": {"tag": tag}, "values": {"topic": tag}}
    [found] = (await api.call("POST", "/threads/search", body)).must(200)
    assert found["thread_id"] == thread
    assert (await api.call("POST", "/threads/count", body)).must(200) == 1


@scenario("POST /threads/count 200")
async def count(api: Api) -> None:
    tag = {"tag": str(uuid4())}
    for _ in range(2):
        await api.thread(metadata=tag)
    assert (await api.call("POST", "/threads/count", {"metadata": tag})).must(200) == 2
    busy = {"metadata": tag, "status": "busy"}
    assert (await api.call("POST", "/threads/count", busy)).must(200) == 0


@scenario("POST /threads/prune 200")
async def prune(api: Api) -> None:
    thread = await api.thread()
    body = {"thread_ids": [thread, ABSENT], "strategy": "delete"}
    assert (await api.call("POST", "/threads/prune", body)).must(200) == {"pruned_count": 1}
    (await api.call("GET", f"/threads/{thread}")).must(404)


@scenario("prune all but the latest checkpoint")
async def prune_history(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    body = {"thread_ids": [thread], "strategy": "keep_latest"}
    assert (await api.call("POST", "/threads/prune", body)).must(200) == {"pruned_count": 1}
    history = (await api.call("POST", f"/threads/{thread}/history", {"limit": 10})).must(200)
    assert len(history) == 1


@scenario("GET /threads/{thread} 200")
async def get(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "cats"})
    found = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert (found["status"], found["error"]) == ("interrupted", None)
    assert found["values"]["draft"] == "draft about cats"
    assert found["metadata"]["graph_id"] == "approval"
    [[waiting]] = found["interrupts"].values()
    assert set(waiting) == {"id", "value"}
    thread, _ = await api.ran("work", {"mode": "boom"})
    found = (await api.call("GET", f"/threads/{thread}")).must(200)
    assert found["error"] == {"error": "ValueError", "message": "boom: this node always raises"}
    (await api.call("GET", f"/threads/{thread}?include=ttl")).must(200)


@scenario("PATCH /threads/{thread} 200")
async def patch(api: Api) -> None:
    thread = await api.thread(metadata={"a": 1, "b": {"x": 1}})
    before = await api.sdk.threads.get(thread)
    body = {"metadata": {"b": 2, "c": None}, "values": {"x": 1}, "ttl": {"ttl": 1}}
    found = (await api.call("PATCH", f"/threads/{thread}", body)).must(200)
    assert found["metadata"] == {"a": 1, "b": 2, "c": None}
    assert found["values"] is None
    assert found["updated_at"] > before["updated_at"]
    assert found["state_updated_at"] == before["state_updated_at"]


@scenario("PATCH /threads/{thread} 204")
async def patch_minimally(api: Api) -> None:
    thread = await api.thread()
    body, headers = {"metadata": {"a": 1}}, {"prefer": "return=minimal"}
    answer = await api.call("PATCH", f"/threads/{thread}", body, headers=headers)
    assert answer.must(204) == ""
    assert (await api.sdk.threads.get(thread))["metadata"] == {"a": 1}


@scenario("DELETE /threads/{thread} 204")
async def delete(api: Api) -> None:
    thread, run = await api.running()
    assert (await api.call("DELETE", f"/threads/{thread}")).must(204) == ""
    (await api.call("GET", f"/threads/{thread}")).must(404)
    (await api.call("GET", f"/threads/{thread}/runs/{run}")).must(404)
    (await api.call("GET", f"/threads/{thread}/state")).must(404)


@scenario("POST /threads/{thread}/copy 200")
async def copy(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    copied = (await api.call("POST", f"/threads/{thread}/copy")).must(200)["thread_id"]
    assert copied != thread
    state = (await api.call("GET", f"/threads/{copied}/state")).must(200)
    assert len(state["values"]["messages"]) == 2
    assert state["checkpoint"]["thread_id"] == copied
    assert (await api.call("GET", f"/threads/{copied}/runs")).must(200) == []
    assert len(await api.sdk.threads.get_history(copied)) == 3


@scenario("a copy of an interrupted thread can be resumed")
async def copy_interrupted(api: Api) -> None:
    thread, _ = await api.ran("approval", {"topic": "x"})
    copied = (await api.ask("POST", f"/threads/{thread}/copy")).must(200)["thread_id"]
    body = {"assistant_id": "approval", "command": {"resume": "yes"}}
    found = (await api.call("POST", f"/threads/{copied}/runs/wait", body)).must(200)
    assert found["log"] == ["write_draft", "human:yes", "publish"]
    assert (await api.sdk.threads.get(thread))["status"] == "interrupted"


@scenario("POST /threads/{thread}/copy 409")
async def copy_of_none(api: Api) -> None:
    answer = await api.call("POST", f"/threads/{ABSENT}/copy")
    answer.must(409)


@scenario("GET /threads/{thread}/storage 200")
async def storage(api: Api) -> None:
    thread, _ = await api.ran("chat", {"messages": "hi"})
    found = (await api.ask("GET", f"/threads/{thread}/storage")).must(200)
    assert found["checkpoints"]["count"] == 3
    assert found["total_bytes"] > 0
    api.tell("keys", sorted(found))


@scenario("an empty id is none")
async def empty_ids(api: Api) -> None:
    (await api.call("POST", "/threads", {"thread_id": ""})).must(200)
    (await api.call("POST", "/assistants", {"assistant_id": "", "graph_id": "chat"})).must(200)
    for path in ("search", "count"):
        body = {"assistant_id": "", "thread_id": "", "metadata": {"of": str(uuid4())}}
        (await api.call("POST", f"/runs/crons/{path}", body)).must(200)
    path = f"/threads/{await api.thread()}/runs/wait"
    (await api.call("POST", path, RUN | {"checkpoint_id": ""})).must(200)


@scenario("supersteps hold objects")
async def odd_supersteps(api: Api) -> None:
    for values, status in ((1, 422), ("x", 422), (True, 422), ([["topic", "x"]], 422), ({}, 200)):
        steps = [{"updates": [{"values": values, "as_node": "__input__"}]}]
        body = {"metadata": {"graph_id": "approval"}, "supersteps": steps}
        (await api.call("POST", "/threads", body)).must(status)


@scenario("search threads for their errors alone")
async def select_error(api: Api) -> None:
    thread, _ = await api.ran("work", {"mode": "boom"})
    for name in ("error", "context"):
        body = {"ids": [thread], "select": [name]}
        (await api.call("POST", "/threads/search", body)).must(200)
