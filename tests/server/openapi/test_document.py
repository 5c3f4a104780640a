"""The API's document: complete, and true of what the server answers with."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.openapi.utils import get_openapi
from jsonschema import Draft202012Validator
from langgraph_sdk.client import LangGraphClient
from typing_extensions import is_typeddict

from engine.settings import Settings
from server.app import create_app
from server.openapi import schemas
from server.openapi.operations import OPERATIONS
from tests.fakes.serving import sample_graphs
from tests.sse import whole

_METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="session")
async def document(api: str) -> Any:
    async with httpx.AsyncClient(base_url=api) as client:
        return (await client.get("/openapi.json")).json()


def operations(document: Any) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": told
        for path, item in document["paths"].items()
        for method, told in item.items()
        if method in _METHODS
    }


def test_every_operation_is_described(document: Any) -> None:
    served = operations(document)
    # What is missing goes into server/openapi/operations.py.
    assert set(served) - set(OPERATIONS) == set()
    for name, told in served.items():
        assert told["summary"] == OPERATIONS[name].summary
        assert told["tags"], name
        for content in told.get("requestBody", {}).get("content", {}).values():
            assert "example" in content, name
        if not OPERATIONS[name].public:
            assert {"401", "403", "404", "409", "422"} <= set(told["responses"]), name


def test_no_answer_takes_the_name_of_a_body() -> None:
    app = create_app(Settings(_env_file=None), sample_graphs)
    bodies = get_openapi(title="", version="", routes=app.routes)["components"]["schemas"]
    answers = {name for name, value in vars(schemas).items() if is_typeddict(value)}
    assert {"Run", "Thread"} <= answers
    assert not answers & set(bodies)


def test_every_reference_leads_somewhere(document: Any) -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(name := value.get("$ref"), str):
                assert name.removeprefix("#/components/schemas/") in known, name
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    known = document["components"]["schemas"]
    walk(document)


def test_examples_of_bodies_are_valid(document: Any) -> None:
    for name, told in operations(document).items():
        for content in told.get("requestBody", {}).get("content", {}).values():
            errors = list(_validator(document, content["schema"]).iter_errors(content["example"]))
            assert not errors, (name, errors)


async def test_answers_are_as_the_document_says(
    document: Any, raw: httpx.AsyncClient, client: LangGraphClient, tid: str
) -> None:
    told = operations(document)

    async def ask(name: str, body: Any = None, /, query: str = "", **ids: str) -> Any:
        method, path = name.split()
        content = {} if body is None else {"json": body}
        answer = await raw.request(method, path.format(**ids) + query, **content)
        described = told[name]["responses"][str(answer.status_code)]
        media = answer.headers.get("content-type", "").partition(";")[0]
        if not answer.content:
            assert "content" not in described, name
            return None
        schema = described["content"][media]["schema"]
        value = answer.json() if media == "application/json" else answer.text
        for one in whole(value) if media == "text/event-stream" else [value]:
            errors = list(_validator(document, schema).iter_errors(one))
            assert not errors, (name, errors)
        return value

    for path in ("/", "/ok", "/info", "/metrics"):
        await ask(f"GET {path}")
    await ask("GET /metrics", query="?format=json")
    made = await ask("POST /assistants", {"graph_id": "approval"})
    mine = made["assistant_id"]
    await ask("GET /assistants/{assistant_id}", assistant_id=mine)
    await ask("PATCH /assistants/{assistant_id}", {"name": "mine"}, assistant_id=mine)
    await ask("POST /assistants/{assistant_id}/versions", {}, assistant_id=mine)
    await ask("POST /assistants/{assistant_id}/latest", {"version": 1}, assistant_id=mine)
    for part in ("schemas", "graph", "subgraphs"):
        await ask(f"GET /assistants/{{assistant_id}}/{part}", assistant_id=mine)
    await ask("POST /assistants/search", {"limit": 2, "select": ["name"]})
    await ask("POST /assistants/count", {})
    thread: dict[str, str] = {"thread_id": tid}
    run = {"assistant_id": "approval", "input": {"topic": "cats"}}
    await ask("GET /threads/{thread_id}/state", **thread)
    await ask("POST /threads/{thread_id}/runs/wait", run, **thread)
    await ask("GET /threads/{thread_id}", query="?include=ttl", **thread)
    await ask("GET /threads/{thread_id}/state", query="?select=values", **thread)
    state = await ask("GET /threads/{thread_id}/state", **thread)
    at = {"checkpoint": state["checkpoint"]}
    await ask("POST /threads/{thread_id}/state/checkpoint", at, **thread)
    await ask("POST /threads/{thread_id}/state", {"values": {"draft": "d"}}, **thread)
    await ask("PATCH /threads/{thread_id}/state", {"metadata": {"a": 1}}, **thread)
    await ask("POST /threads/{thread_id}/history", {"limit": 5}, **thread)
    await ask("GET /threads/{thread_id}/history", **thread)
    await ask("POST /threads/{thread_id}/copy", **thread)
    await ask("GET /threads/{thread_id}/storage", **thread)
    await ask("PATCH /threads/{thread_id}", {"metadata": {"a": 2}}, **thread)
    await ask("POST /threads/search", {"ids": [tid], "extract": {"t": "values.topic"}})
    await ask("POST /threads/count", {"status": "idle"})
    slow = {"assistant_id": "work", "input": {"mode": "slow", "secs": 20}}
    begun = await ask("POST /threads/{thread_id}/runs", slow, **thread)
    both = {**thread, "run_id": begun["run_id"]}
    await ask("GET /threads/{thread_id}/runs/{run_id}", **both)
    await ask("POST /threads/{thread_id}/runs/{run_id}/cancel", query="?wait=1", **both)
    await ask("GET /threads/{thread_id}/runs/{run_id}/join", **both)
    await ask("GET /threads/{thread_id}/runs", **thread)
    await ask("DELETE /threads/{thread_id}/runs/{run_id}", **both)
    await ask("POST /threads/{thread_id}/runs/stream", run, **thread)
    await ask("POST /threads/{thread_id}/commands", {"id": 1}, **thread)
    await ask("POST /runs/wait", run)
    await ask("POST /runs/batch", [run])
    await ask("GET /webhooks")
    cron = await ask("POST /runs/crons", {**run, "schedule": "0 9 1 1 *"})
    await ask("GET /runs/crons/{cron_id}", cron_id=cron["cron_id"])
    await ask("POST /runs/crons/search", {})
    await ask("POST /runs/crons/count", {})
    await ask("DELETE /runs/crons/{cron_id}", cron_id=cron["cron_id"])
    item = {"namespace": ["doc", str(uuid4())], "key": "k"}
    await ask("PUT /store/items", {**item, "value": {"a": 1}})
    await ask("GET /store/items", query=f"?namespace={'.'.join(item['namespace'])}&key=k")
    await ask("GET /store/items", query="?namespace=none&key=k")
    await ask("GET /store/items", query="?namespace=none")
    await ask("POST /store/items/search", {"namespace_prefix": ["doc"]})
    await ask("POST /store/items/search", {"namespace_prefix": ["a.b"]})
    await ask("POST /store/namespaces", {"prefix": ["doc"]})
    await ask("DELETE /store/items", item)
    await ask("POST /mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"})
    await ask("GET /a2a/{assistant_id}", assistant_id=mine)
    await ask("POST /a2a/{assistant_id}", [], assistant_id=mine)
    await ask("GET /.well-known/agent-card.json")
    await ask("GET /threads/{thread_id}", thread_id=str(uuid4()))
    await ask("GET /threads/{thread_id}", thread_id="none")
    await ask("POST /threads/prune", {"thread_ids": [tid]})
    await ask("DELETE /assistants/{assistant_id}", assistant_id=mine)


async def test_the_reference_needs_nothing_from_elsewhere(raw: httpx.AsyncClient) -> None:
    page = await raw.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "openapi.json" in page.text
    assert "://" not in page.text


def _validator(document: Any, schema: Any) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})
