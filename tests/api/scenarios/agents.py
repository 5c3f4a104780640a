"""Graphs as MCP tools and as A2A agents."""

from typing import Any
from uuid import uuid4

from tests.api.api import ABSENT, NOTHING, Api
from tests.api.registry import scenario
from tests.api.scenarios.assistants import CHAT

_JSON = {"accept": "application/json"}


async def mcp(api: Api, method: str, params: Any = None, **fields: Any) -> Any:
    """The answer to one message."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, **fields}
    if params is not None:
        message["params"] = params
    return (await api.call("POST", "/mcp", message, headers=_JSON)).must(200)


@scenario("POST /mcp 200")
async def mcp_calls(api: Api) -> None:
    client = {"name": "test", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    found = (await mcp(api, "initialize", hello))["result"]
    assert found["protocolVersion"] == "2025-06-18"
    assert "tools" in found["capabilities"]
    assert (await mcp(api, "ping"))["result"] == {}
    assert (await mcp(api, "bogus"))["error"]["code"] == -32601


@scenario("mcp: each assistant is a tool")
async def mcp_tools(api: Api) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    found = (await api.ask("POST", "/mcp", body, headers=_JSON)).must(200)["result"]["tools"]
    tools = {one["name"]: one for one in found}
    assert {"chat", "work"} <= set(tools)
    schema = tools["chat"]["inputSchema"]
    assert (list(schema["properties"]), schema["required"]) == (["messages"], ["messages"])
    assert set(tools["work"]["inputSchema"]["properties"]) == {"mode", "secs", "gate", "steps"}
    api.note("tool", tools["chat"])


@scenario("mcp: tools are called")
async def mcp_call(api: Api) -> None:
    found = await mcp(api, "tools/call", {"name": "chat", "arguments": {"messages": "hi"}})
    assert "Hello there dear user" in found["result"]["content"][0]["text"]
    found = await mcp(api, "tools/call", {"name": "work", "arguments": {"mode": "boom"}})
    assert found["result"]["isError"] is True
    assert "ValueError" in found["result"]["content"][0]["text"]
    found = await mcp(api, "tools/call", {"name": "nope", "arguments": {}})
    assert found["error"]["code"] == -32602


@scenario("POST /mcp 202")
async def mcp_notification(api: Api) -> None:
    body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = await api.call("POST", "/mcp", body, headers=_JSON)
    assert answer.must(202) in {"", None}


@scenario("POST /mcp 400")
async def mcp_refused(api: Api) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    answer = await api.call("POST", "/mcp", body, headers={"accept": "text/html"})
    assert answer.must(400)["error"].startswith("Accept header must include")
    for told in ([body], {"id": 1, "method": "ping"}):
        assert (await api.call("POST", "/mcp", told, headers=_JSON)).must(400)["error"]


@scenario("GET /mcp 405", "DELETE /mcp 404")
async def mcp_others(api: Api) -> None:
    (await api.call("GET", "/mcp", headers=_JSON)).must(405)
    (await api.call("DELETE", "/mcp", headers=_JSON)).must(404)


def old(method: str, text: str, **fields: Any) -> dict[str, Any]:
    """A call as protocol 0.3 words it."""
    message = {"role": "user", "messageId": "m1", "parts": [{"kind": "text", "text": text}]}
    return {"jsonrpc": "2.0", "id": "1", "method": method, "params": {"message": message | fields}}


def new(method: str, text: str) -> dict[str, Any]:
    """A call as protocol 1.0 words it."""
    message = {"role": "ROLE_USER", "messageId": "m1", "parts": [{"text": text}]}
    return {"jsonrpc": "2.0", "id": "1", "method": method, "params": {"message": message}}


@scenario("POST /a2a/{assistant} 200")
async def a2a(api: Api) -> None:
    path = f"/a2a/{CHAT}"
    task = (await api.call("POST", path, old("message/send", "hello"))).must(200)["result"]
    assert (task["kind"], task["status"]["state"]) == ("task", "completed")
    assert task["id"].startswith(task["contextId"] + ":")
    assert task["artifacts"][0]["parts"][0]["text"] == "Hello there dear user"
    assert [one["role"] for one in task["history"]] == ["user", "agent"]
    params = {"id": task["id"], "contextId": task["contextId"]}
    body = {"jsonrpc": "2.0", "id": "2", "method": "tasks/get", "params": params}
    found = (await api.call("POST", path, body)).must(200)["result"]
    assert (found["id"], found["status"]["state"]) == (task["id"], "completed")
    body = body | {"method": "tasks/cancel"}
    assert (await api.call("POST", path, body)).must(200)["error"]["code"] == -32002


@scenario("a2a 1.0: a message is sent")
async def a2a_new(api: Api) -> None:
    found = (await api.call("POST", f"/a2a/{CHAT}", new("SendMessage", "hello"))).must(200)
    task = found["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"][0]["parts"][0]["text"] == "Hello there dear user"


@scenario("a2a: a message is streamed")
async def a2a_stream(api: Api) -> None:
    events = await api.stream("POST", f"/a2a/{CHAT}", old("message/stream", "hi"), record=False)
    kinds = [one.data["result"].get("kind") for one in events]
    assert (kinds[0], kinds[-1]) == ("task", "status-update")
    assert "artifact-update" in kinds
    last = events[-1].data["result"]
    assert (last["final"], last["status"]["state"]) == (True, "completed")
    ordered = [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]
    api.tell("kinds", ordered)


@scenario("a2a: errors are told in band")
async def a2a_errors(api: Api) -> None:
    for path, body, code in (
        (f"/a2a/{ABSENT}", old("message/send", "x"), -32602),
        (f"/a2a/{CHAT}", {"id": "1", "method": "message/send"}, -32600),
        (f"/a2a/{CHAT}", old("tasks/resubscribe", "x"), -32601),
        (f"/a2a/{CHAT}", old("message/send", "x", contextId="abc"), -32602),
    ):
        assert (await api.call("POST", path, body)).must(200)["error"]["code"] == code


@scenario("a2a: a context is a thread")
async def a2a_context(api: Api) -> None:
    context = str(uuid4())
    for number in range(2):
        body = old("message/send", "hello", contextId=context, messageId=f"m{number}")
        found = (await api.call("POST", f"/a2a/{CHAT}", body)).must(200)["result"]
        assert found["contextId"] == context
    state = await api.sdk.threads.get_state(context)
    assert len(state["values"]["messages"]) == 4


@scenario(
    "GET /.well-known/agent-card.json 200", "GET /a2a/{assistant}/.well-known/agent-card.json 200"
)
async def cards(api: Api) -> None:
    found = None
    for path in (
        f"/.well-known/agent-card.json?assistant_id={CHAT}",
        f"/a2a/{CHAT}/.well-known/agent-card.json",
    ):
        found = (await api.call("GET", path, NOTHING)).must(200)
        assert found["capabilities"]["streaming"] is True
        assert found["supportedInterfaces"][0]["url"].endswith(f"/a2a/{CHAT}")


@scenario(
    "GET /.well-known/agent-card.json 400", "GET /a2a/{assistant}/.well-known/agent-card.json 400"
)
async def no_card(api: Api) -> None:
    for path in (
        "/.well-known/agent-card.json",
        f"/.well-known/agent-card.json?assistant_id={ABSENT}",
        f"/a2a/{ABSENT}/.well-known/agent-card.json",
    ):
        found = (await api.call("GET", path)).must(400)
        assert found["error"]["code"] == -32602
