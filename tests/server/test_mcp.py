"""Assistants as tools: the official client, and what it never sends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from langgraph_sdk.client import LangGraphClient
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.api.project.graphs import REPLY

ACCEPT = {"accept": "application/json, text/event-stream"}


@asynccontextmanager
async def connected(url: str, **headers: str) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


async def rpc(raw: httpx.AsyncClient, method: str, **params: Any) -> Any:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await raw.post("/mcp", json=message, headers=ACCEPT)
    assert answer.status_code == 200
    assert answer.json()["id"] == 1
    return answer.json()


async def test_every_assistant_is_a_tool(api: str) -> None:
    async with connected(api) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {"chat", "approval", "work"} <= set(tools)
    assert tools["chat"].description == "Tool based on the chat assistant"
    schema = tools["chat"].input_schema
    assert schema["required"] == ["messages"]
    assert schema["properties"]["messages"]["type"] == "string"
    assert "$defs" not in schema
    assert set(tools["approval"].input_schema["properties"]) == {"topic", "draft", "log"}


async def test_a_call_runs_the_assistant(api: str, client: LangGraphClient) -> None:
    async with connected(api) as tools:
        told = await tools.call_tool("chat", {"messages": "hello"})
    assert not told.is_error
    [block] = told.content
    values = json.loads(getattr(block, "text", ""))
    assert values == told.structured_content
    assert [one["content"] for one in values["messages"]] == ["hello", REPLY]


async def test_a_question_to_a_human_is_in_the_result(api: str) -> None:
    async with connected(api) as client:
        told = await client.call_tool("approval", {"topic": "cats"})
    assert told.structured_content is not None
    [asked] = told.structured_content["__interrupt__"]
    assert asked["value"]["question"] == "approve?"


async def test_a_failing_graph_is_a_failed_call(api: str) -> None:
    async with connected(api) as client:
        told = await client.call_tool("work", {"mode": "boom"})
    assert told.is_error
    assert getattr(told.content[0], "text", "") == "ValueError: boom: this node always raises"


async def test_an_unknown_tool_is_an_error(api: str) -> None:
    async with connected(api) as client:
        with pytest.raises(MCPError, match="Unknown tool: nope"):
            await client.call_tool("nope", {})


async def test_a_key_is_needed_where_keys_are_set(guarded_api: str) -> None:
    async with connected(guarded_api, **{"x-api-key": "widget-secret"}) as client:
        told = await client.call_tool("chat", {"messages": "hello"})
    assert not told.is_error
    async with httpx.AsyncClient(base_url=guarded_api) as raw:
        answer = await raw.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert answer.status_code == 401


async def test_the_context_of_a_call_is_the_runs(raw: httpx.AsyncClient) -> None:
    asked = {"name": "work", "arguments": {"mode": "done"}, "_meta": {"context": {"pace": "fast"}}}
    refused = await rpc(raw, "tools/call", **asked)
    assert refused["error"]["code"] == -32602
    assert refused["error"]["message"].startswith("context.pace: ")


async def test_the_run_outlives_the_client(raw: httpx.AsyncClient, client: LangGraphClient) -> None:
    asked = {"name": "work", "arguments": {"mode": "slow", "secs": 1.2}}
    call = asyncio.create_task(rpc(raw, "tools/call", **asked))
    while not (busy := [one async for one in _busy(client)]):
        await asyncio.sleep(0.02)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    [run] = await client.runs.list(busy[0])
    left: Any = await client.runs.join(busy[0], run["run_id"])
    assert left["steps"] == ["prep", "slow", "done"]


async def _busy(client: LangGraphClient) -> AsyncIterator[str]:
    """Threads on which `work` is slow."""
    for thread in await client.threads.search(metadata={"graph_id": "work"}, status="busy"):
        for run in await client.runs.list(thread["thread_id"]):
            if run["kwargs"]["input"] == {"mode": "slow", "secs": 1.2}:  # type: ignore[typeddict-item]
                yield thread["thread_id"]


async def test_the_handshake_settles_on_a_version(raw: httpx.AsyncClient) -> None:
    for asked, got in (("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25")):
        told = (await rpc(raw, "initialize", protocolVersion=asked))["result"]
        assert told["protocolVersion"] == got
        assert told["capabilities"] == {"tools": {"listChanged": False}}
    assert (await rpc(raw, "ping"))["result"] == {}
    assert (await rpc(raw, "bogus"))["error"] == {
        "code": -32601,
        "message": "Method not found: bogus",
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"jsonrpc": "2.0", "method": "notifications/initialized"}, 202),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, 202),
        ({"id": 1, "method": "ping"}, 400),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], 400),
        ("ping", 400),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": []}, 400),
    ],
)
async def test_only_single_messages_are_taken(
    raw: httpx.AsyncClient, body: Any, status: int
) -> None:
    answer = await raw.post("/mcp", json=body, headers=ACCEPT)
    assert answer.status_code == status
    assert (status == 202) == (answer.content == b"")


async def test_only_post_answers(raw: httpx.AsyncClient) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert (await raw.get("/mcp")).status_code == 405
    assert (await raw.delete("/mcp")).status_code == 404
    assert (await raw.post("/mcp/", json=ping, headers=ACCEPT)).status_code == 307
    refused = await raw.post("/mcp", json=ping, headers={"accept": "text/plain"})
    assert (refused.status_code, "Accept header" in refused.json()["error"]) == (400, True)
