from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from engine.ids import system_assistant_id

CHAT = "eb6db400-e3c8-5d06-a834-015cb89efe69"


def test_ids_of_graphs_are_the_ones_that_clients_have_built_in() -> None:
    assert system_assistant_id("agent") == UUID("fe096781-5601-53d2-b2f6-0d3403f7e9ca")


async def test_every_graph_has_an_assistant(client: LangGraphClient) -> None:
    (found,) = await client.assistants.search(graph_id="chat")
    assert list(found) == [
        "assistant_id",
        "graph_id",
        "config",
        "context",
        "metadata",
        "name",
        "created_at",
        "updated_at",
        "version",
        "description",
    ]
    assert found["assistant_id"] == CHAT
    assert (found["name"], found["version"], found["metadata"]) == (
        "chat",
        1,
        {"created_by": "system"},
    )
    assert await client.assistants.get(CHAT) == found
    assert await client.assistants.count(name="PROV") == 1


async def test_assistants_are_found_page_by_page(client: LangGraphClient) -> None:
    page: Any = await client.assistants.search(limit=1, response_format="object")
    assert page["next"] == "1"
    metadata: Any = {"created_by": "system"}
    names = {one["name"] for one in await client.assistants.search(metadata=metadata, limit=10)}
    assert names == {"chat", "approval", "work", "record", "complaint"}
    ordered = await client.assistants.search(sort_by="name", sort_order="asc", limit=2, offset=1)
    assert [one["name"] for one in ordered] == ["chat", "complaint"]
    chosen: Any = ["name"]
    assert await client.assistants.search(name="chat", select=chosen) == [{"name": "chat"}]


async def test_unknown_graphs_and_assistants_are_missing(
    client: LangGraphClient, raw: httpx.AsyncClient
) -> None:
    with pytest.raises(NotFoundError, match="Graph 'nope' not found"):
        await client.assistants.search(graph_id="nope")
    with pytest.raises(NotFoundError, match="Graph 'nope' not found"):
        await client.assistants.count(graph_id="nope")
    with pytest.raises(NotFoundError):
        await client.assistants.get(str(uuid4()))
    with pytest.raises(NotFoundError):
        await client.assistants.get_graph("nope")
    for path in ("/assistants/chat", "/assistants/chat/schemas"):
        response = await raw.get(path)
        assert response.status_code == 422
        assert response.json() == {"detail": "Invalid assistant ID: must be a UUID"}


async def test_a_graph_is_drawn_by_id_or_by_name(client: LangGraphClient) -> None:
    drawn = await client.assistants.get_graph(CHAT)
    assert drawn == await client.assistants.get_graph("chat")
    assert drawn == {
        "nodes": [
            {"id": "__start__", "type": "runnable", "data": {"name": "__start__"}},
            {"id": "model", "type": "runnable", "data": {"name": "model"}},
            {"id": "__end__"},
        ],
        "edges": [
            {"source": "__start__", "target": "model"},
            {"source": "model", "target": "__end__"},
        ],
    }


async def test_xray_shows_what_is_in_subgraphs(
    client: LangGraphClient, raw: httpx.AsyncClient
) -> None:
    for xray in (True, 1):
        drawn = await client.assistants.get_graph("work", xray=xray)
        assert "child:sub_a" in {node["id"] for node in drawn["nodes"]}
        assert {"source": "prep", "target": "child:sub_a", "conditional": True} in drawn["edges"]
    plain = await client.assistants.get_graph("work", xray=False)
    assert "child" in {node["id"] for node in plain["nodes"]}
    for wrong in ("0", "maybe", "-1"):
        response = await raw.get("/assistants/work/graph", params={"xray": wrong})
        assert (response.status_code, response.json()["detail"]) == (422, "Invalid xray value")


async def test_schemas_describe_input_state_and_context(client: LangGraphClient) -> None:
    (work,) = await client.assistants.search(graph_id="work")
    schemas: Any = await client.assistants.get_schemas(work["assistant_id"])
    assert schemas["graph_id"] == "work"
    assert schemas["input_schema"]["properties"]["mode"] == {"title": "Mode", "type": "string"}
    assert schemas["state_schema"]["title"] == "work_state"
    assert schemas["context_schema"]["properties"]["pace"]["type"] == "integer"
    assert schemas["config_schema"] == schemas["context_schema"]
    schemas = await client.assistants.get_schemas(CHAT)
    assert (schemas["config_schema"], schemas["context_schema"]) == ({}, None)
    assert "messages" in schemas["output_schema"]["properties"]
