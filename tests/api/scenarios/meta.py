"""What the server tells of itself, and what browsers ask first."""

from typing import Any

from tests.api.api import ABSENT, Api
from tests.api.registry import scenario

_STUDIO = {"origin": "https://smith.langchain.com", "access-control-request-method": "POST"}


@scenario("GET / 200", "GET /ok 200")
async def alive(api: Api) -> None:
    for path in ("/", "/ok", "/ok?check_db=1"):
        assert (await api.call("GET", path)).must(200)["ok"] is True


@scenario("GET /info 200")
async def info(api: Api) -> None:
    found = (await api.call("GET", "/info")).must(200)
    assert found["flags"]["assistants"] is True
    assert int(found["version"].split(".")[1]) >= 4


@scenario("GET /metrics 200")
async def metrics(api: Api) -> None:
    answer = await api.ask("GET", "/metrics")
    answer.must(200)
    assert answer.headers["content-type"].startswith("text/plain")
    found = (await api.ask("GET", "/metrics?format=json")).must(200)
    assert set(found["workers"]) == {"max", "active", "available"}
    api.tell("metrics", {"queue": sorted(found["queue"]), "api": sorted(found["api"])})


@scenario("GET /docs 200", "GET /openapi.json 200")
async def docs(api: Api) -> None:
    answer = await api.ask("GET", "/docs")
    answer.must(200)
    assert answer.headers["content-type"].startswith("text/html")
    found = (await api.ask("GET", "/openapi.json")).must(200)
    wanted = {"/threads/search", "/runs/crons/search", "/store/items", "/threads/{thread_id}/copy"}
    assert wanted <= set(found["paths"])


@scenario("preflights and exposed headers")
async def cors(api: Api) -> None:
    headers = _STUDIO | {"access-control-request-headers": "x-auth-scheme,x-api-key,content-type"}
    answer = await api.ask("OPTIONS", "/threads/search", headers=headers)
    answer.must(200)
    allowed = {
        one.strip().lower() for one in answer.headers["access-control-allow-headers"].split(",")
    }
    assert allowed >= {"x-auth-scheme", "x-api-key", "content-type"}
    assert {"POST", "PATCH", "DELETE", "PUT"} <= set(
        answer.headers["access-control-allow-methods"].split(", ")
    )
    answer = await api.ask("GET", "/info", headers={"origin": "https://smith.langchain.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert all(
        one in exposed for one in ("x-pagination-total", "x-pagination-next", "content-location")
    )


@scenario("a browser sees where to reconnect")
async def exposed_location(api: Api) -> None:
    answer = await api.ask("GET", "/info", headers={"origin": "https://smith.langchain.com"})
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert "location" in exposed


@scenario("slashes, methods and heads")
async def paths(api: Api) -> None:
    answer = await api.ask("POST", "/threads/search/", {})
    assert answer.status == 307
    assert answer.headers["location"].endswith("/threads/search")
    answer = await api.ask("PUT", "/threads/search", {})
    assert (answer.status, answer.body) == (405, {"detail": "Method Not Allowed"})
    assert "allow" in answer.headers
    answer = await api.ask("HEAD", "/info")
    assert (answer.status, answer.text) == (200, "")
    answer = await api.ask("GET", "/nope")
    assert (answer.status, answer.body) == (404, {"detail": "Not Found"})


@scenario("POST /ui/chat 404")
async def ui(api: Api) -> None:
    answer = await api.call("POST", "/ui/chat", {"name": "x"})
    assert answer.status == 404
    assert answer.text == "UI not found for graph 'chat'"


async def _owned(api: Api) -> str:
    """A thread of alice's."""
    return str((await api.ask("POST", "/threads", {}, user="alice")).must(200)["thread_id"])


@scenario("auth: a stranger finds nothing")
async def strangers(api: Api) -> None:
    thread = await _owned(api)
    assert (await api.call("GET", f"/threads/{thread}", user="alice")).must(200)["metadata"] == {
        "owner": "alice"
    }
    for method, tail, body in (
        ("GET", "", None),
        ("GET", "/state", None),
        ("POST", "/history", {}),
        ("DELETE", "", None),
        ("GET", "/runs", None),
    ):
        kwargs: dict[str, Any] = {} if body is None else {"body": body}
        answer = await api.call(method, f"/threads/{thread}{tail}", user="bob", **kwargs)
        answer.must(404)
    body = {"assistant_id": "chat", "input": {"messages": "hi"}}
    (await api.call("POST", f"/threads/{thread}/runs", body, user="bob")).must(404)
    body = {"thread_id": thread, "if_exists": "do_nothing"}
    (await api.call("POST", "/threads", body, user="bob")).must(409)
    search = {"ids": [thread]}
    assert (await api.call("POST", "/threads/search", search, user="bob")).must(200) == []
    assert len((await api.call("POST", "/threads/search", search, user="alice")).must(200)) == 1
    (await api.call("GET", f"/threads/{thread}", user="alice")).must(200)


@scenario("auth: the graph is told who asks")
async def told_who(api: Api) -> None:
    thread = await _owned(api)
    body = {"assistant_id": "work", "input": {"mode": "tell"}, "stream_mode": ["custom"]}
    path = f"/threads/{thread}/runs/stream"
    events = await api.stream("POST", path, body, user="alice")
    [told] = [one.data["configurable"] for one in events if one.event == "custom"]
    assert told["langgraph_auth_user_id"] == "alice"
    assert told["user"] == "alice"


@scenario("auth: unknown paths and keys are 401, preflights are not")
async def unknown(api: Api) -> None:
    answer = await api.call("GET", "/nope", user="")
    answer.must(401)
    assert answer.detail == "Who are you?"
    (await api.call("GET", f"/threads/{ABSENT}", user="mallory")).must(401)
    headers = {"x-auth-scheme": "langsmith"}
    (await api.call("POST", "/threads/search", {}, user="", headers=headers)).must(401)
    answer = await api.ask("OPTIONS", "/threads/search", user="", headers=_STUDIO)
    assert answer.status == 200


@scenario("auth: items of the store are under their owner")
async def own_items(api: Api) -> None:
    body = {"namespace": ["notes"], "key": "k", "value": {"x": 1}}
    (await api.call("PUT", "/store/items", body, user="alice")).must(204)
    path = "/store/items?namespace=notes&key=k"
    assert (await api.call("GET", path, user="alice")).must(200)["value"] == {"x": 1}
    assert (await api.call("GET", path, user="bob")).must(200) is None
