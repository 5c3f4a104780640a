"""Assistants: their versions, graphs and schemas."""

from uuid import uuid4

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario
from tests.waiting import until

_BOTH = {"config": {"configurable": {"reply": "a"}}, "context": {"reply": "b"}}
CHAT = "eb6db400-e3c8-5d06-a834-015cb89efe69"
WORK = "7ff3bf35-cd59-577a-a310-e8e142409034"


async def made(api: Api, graph: str = "chat", **fields: object) -> str:
    """A new assistant's id."""
    answer = await api.ask("POST", "/assistants", {"graph_id": graph, **fields})
    return str(answer.must(200)["assistant_id"])


@scenario("POST /assistants 200")
async def create(api: Api) -> None:
    config = {"configurable": {"reply": "hi"}, "tags": ["t"], "recursion_limit": 7}
    body = {"graph_id": "chat", "name": "my chat", "config": config, "metadata": {"owner": "u1"}}
    found = (await api.call("POST", "/assistants", body | {"description": "d"})).must(200)
    assert found["context"] == {"reply": "hi"}
    assert (found["config"], found["version"], found["description"]) == (config, 1, "d")
    bare = (await api.call("POST", "/assistants", {"graph_id": "work"})).must(200)
    assert (bare["name"], bare["description"], bare["metadata"]) == ("Untitled", None, {})
    again = {"graph_id": "chat", "assistant_id": found["assistant_id"], "if_exists": "do_nothing"}
    kept = (await api.call("POST", "/assistants", again | {"name": "other"})).must(200)
    assert kept == found
    read = (await api.call("GET", f"/assistants/{found['assistant_id']}")).must(200)
    assert read == found


@scenario("POST /assistants 400")
async def create_with_both(api: Api) -> None:
    answer = await api.call("POST", "/assistants", {"graph_id": "chat", **_BOTH})
    answer.must(400)
    assert answer.detail.startswith("Cannot specify both configurable and context.")


@scenario("POST /assistants 404")
async def create_of_no_graph(api: Api) -> None:
    answer = await api.call("POST", "/assistants", {"graph_id": "nope"})
    answer.must(404)
    assert answer.detail.startswith("Graph 'nope' not found. Expected one of: [")


@scenario("POST /assistants 409")
async def create_twice(api: Api) -> None:
    body = {"graph_id": "chat", "assistant_id": str(uuid4())}
    (await api.call("POST", "/assistants", body)).must(200)
    answer = await api.call("POST", "/assistants", body)
    answer.must(409)
    assert answer.detail == f"Assistant {body['assistant_id']} already exists"


@scenario("POST /assistants/search 200")
async def search(api: Api) -> None:
    tag = {"tag": str(uuid4())}
    ids = [await made(api, metadata=tag, name=name) for name in ("Alpha", "beta", "Gamma")]

    async def found(**asked: object) -> list[str]:
        body = {"metadata": tag, **asked}
        answer = await api.call("POST", "/assistants/search", body)
        return [ids.index(one["assistant_id"]) for one in answer.must(200)]

    assert await found() == [2, 1, 0]
    assert await found(name="ALPH") == [0]
    assert await found(graph_id="work") == []
    assert await found(sort_by="name", sort_order="asc") in ([0, 2, 1], [0, 1, 2])
    assert await found(limit=2) == [2, 1]
    assert await found(limit=2, offset=2) == [0]
    assert await found(offset=40) == []
    assert await found(sort_by="created_at", sort_order="asc", select=["assistant_id"]) == [0, 1, 2]
    system = {"graph_id": "chat", "metadata": {"created_by": "system"}}
    [chat] = (await api.call("POST", "/assistants/search", system)).must(200)
    assert chat["assistant_id"] == CHAT


@scenario("POST /assistants/search 404", "POST /assistants/count 404")
async def search_of_no_graph(api: Api) -> None:
    for what in ("search", "count"):
        (await api.call("POST", f"/assistants/{what}", {"graph_id": "nope"})).must(404)


@scenario("POST /assistants/count 200")
async def count(api: Api) -> None:
    tag = {"tag": str(uuid4())}
    for name in ("Alpha", "beta"):
        await made(api, metadata=tag, name=name)
    assert (await api.call("POST", "/assistants/count", {"metadata": tag})).must(200) == 2
    named = {"metadata": tag, "name": "bet", "graph_id": "chat"}
    assert (await api.call("POST", "/assistants/count", named)).must(200) == 1


@scenario("GET /assistants/{assistant} 200")
async def get(api: Api) -> None:
    found = (await api.call("GET", f"/assistants/{CHAT}")).must(200)
    assert (found["name"], found["metadata"]["created_by"]) == ("chat", "system")
    approval = (await api.ask("POST", "/assistants/search", {"graph_id": "approval"})).must(200)
    assert {one["description"] for one in approval} >= {"Asks a human in the middle."}


@scenario("PATCH /assistants/{assistant} 200")
async def patch(api: Api) -> None:
    one = await made(api, metadata={"a": 1, "b": {"x": 1}}, config={"configurable": {"reply": "a"}})
    body = {"metadata": {"b": 2}, "context": {"reply": "b"}, "name": "new", "description": "d"}
    found = (await api.call("PATCH", f"/assistants/{one}", body)).must(200)
    assert (found["version"], found["metadata"]) == (2, {"a": 1, "b": 2})
    assert (found["config"]["configurable"], found["name"]) == ({"reply": "b"}, "new")
    found = (await api.call("PATCH", f"/assistants/{one}", {})).must(200)
    assert (found["version"], found["name"]) == (3, "new")
    found = (await api.call("PATCH", f"/assistants/{one}", {"graph_id": "work"})).must(200)
    assert found["graph_id"] == "work"


@scenario("PATCH /assistants/{assistant} 400")
async def patch_with_both(api: Api) -> None:
    one = await made(api)
    (await api.call("PATCH", f"/assistants/{one}", _BOTH)).must(400)


@scenario("DELETE /assistants/{assistant} 204")
async def delete(api: Api) -> None:
    one, other = await made(api), await made(api)
    thread = await api.thread()
    await api.sdk.runs.wait(thread, other, input={"messages": "hi"})
    assert (await api.call("DELETE", f"/assistants/{one}")).must(204) == ""
    (await api.call("GET", f"/assistants/{one}")).must(404)
    (await api.call("DELETE", f"/assistants/{other}?delete_threads=true")).must(204)

    async def gone() -> bool:
        return (await api.ask("GET", f"/threads/{thread}")).status == 404

    await until(gone, 5)


@scenario("GET /assistants/{assistant}/graph 200")
async def graph(api: Api) -> None:
    found = (await api.call("GET", "/assistants/chat/graph")).must(200)
    assert [one["id"] for one in found["nodes"]] == ["__start__", "model", "__end__"]
    assert found["edges"][0] == {"source": "__start__", "target": "model"}
    plain = (await api.call("GET", f"/assistants/{WORK}/graph")).must(200)
    assert "child" in {one["id"] for one in plain["nodes"]}
    assert any(one.get("conditional") for one in plain["edges"])
    for asked in ("true", "1", "2"):
        found = (await api.call("GET", f"/assistants/work/graph?xray={asked}")).must(200)
        assert "child:sub_a" in {one["id"] for one in found["nodes"]}


@scenario("GET /assistants/{assistant}/graph 422")
async def graph_with_bad_depth(api: Api) -> None:
    for asked in ("0", "bogus"):
        answer = await api.call("GET", f"/assistants/chat/graph?xray={asked}")
        answer.must(422)
        assert answer.detail == "Invalid xray value"


@scenario("GET /assistants/{assistant}/schemas 200")
async def schemas(api: Api) -> None:
    found = (await api.call("GET", f"/assistants/{WORK}/schemas")).must(200)
    assert set(found["input_schema"]["properties"]) == {"mode", "secs", "gate", "steps"}
    assert found["context_schema"]["properties"]["pace"]["type"] == "integer"
    found = (await api.call("GET", f"/assistants/{CHAT}/schemas")).must(200)
    assert (found["config_schema"], found["context_schema"]) == ({}, None)


@scenario("GET /assistants/{assistant}/subgraphs 200")
async def subgraphs(api: Api) -> None:
    found = (await api.call("GET", f"/assistants/{WORK}/subgraphs")).must(200)
    assert set(found) == {"child", "asking", "talk"}
    found = (await api.call("GET", f"/assistants/{WORK}/subgraphs?recurse=true")).must(200)
    assert set(found) == {"child", "asking", "talk"}
    assert (await api.call("GET", f"/assistants/{CHAT}/subgraphs")).must(200) == {}


@scenario("GET /assistants/{assistant}/subgraphs/child 200")
async def subgraph(api: Api) -> None:
    found = (await api.call("GET", f"/assistants/{WORK}/subgraphs/child")).must(200)
    assert set(found) == {"child"}
    assert (await api.call("GET", f"/assistants/{WORK}/subgraphs/nope")).must(200) == {}


@scenario("POST /assistants/{assistant}/versions 200")
async def versions(api: Api) -> None:
    one = await made(api, metadata={"a": 1})
    await api.sdk.assistants.update(one, name="two")
    await api.sdk.assistants.update(one, name="three", metadata={"b": 1})

    async def found(**asked: object) -> list[int]:
        answer = await api.call("POST", f"/assistants/{one}/versions", asked)
        return [each["version"] for each in answer.must(200)]

    assert await found() == [3, 2, 1]
    assert await found(limit=1, offset=1) == [2]
    assert await found(metadata={"b": 1}) == [3]


@scenario("POST /assistants/{assistant}/latest 200")
async def latest(api: Api) -> None:
    one = await made(api, name="one", config={"configurable": {"reply": "a"}})
    await api.sdk.assistants.update(one, name="two", config={"configurable": {"reply": "b"}})
    found = (await api.call("POST", f"/assistants/{one}/latest", {"version": 1})).must(200)
    assert (found["version"], found["name"]) == (1, "one")
    assert found["config"]["configurable"] == {"reply": "a"}
    assert (await api.sdk.assistants.update(one, name="three"))["version"] == 3


@scenario("POST /assistants/{assistant}/latest 404")
async def latest_of_no_version(api: Api) -> None:
    (await api.call("POST", f"/assistants/{ABSENT}/latest", {"version": 1})).must(404)
    one = await made(api)
    answer = await api.call("POST", f"/assistants/{one}/latest", {"version": 99})
    answer.must(404)
    assert answer.detail == f"Version 99 not found for assistant {one}"


@scenario("versions that there are not")
async def no_versions(api: Api) -> None:
    made = (await api.ask("POST", "/assistants", {"graph_id": "chat"})).must(200)
    path = f"/assistants/{made['assistant_id']}/versions"
    for body in ({"metadata": {"no": 1}}, {"offset": 1}):
        assert (await api.call("POST", path, body)).status in {200, 404}


@scenario("go back to a version with a context")
async def back_to_context(api: Api) -> None:
    body = {"graph_id": "chat", "context": {"reply": "a"}}
    made = (await api.ask("POST", "/assistants", body)).must(200)
    path = f"/assistants/{made['assistant_id']}"
    (await api.ask("PATCH", path, {"context": {}})).must(200)
    found = (await api.call("POST", f"{path}/latest", {"version": 1})).must(200)
    assert found["config"] == {"configurable": {"reply": "a"}}
