"""LangGraph Studio: a public page in a browser that asks a server on the user's own machine.

It is replayed here request by request, as it loads, runs, edits and runs again.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.project.graphs import REPLY
from tests.fakes.graphs import GRAPHS
from tests.sse import whole

ORIGIN = "https://smith.langchain.com"
OWN_HEADERS = "content-type,last-event-id,prefer,x-api-key,x-auth-scheme,x-tenant-id,x-user-id"
SCHEMAS = {"graph_id", "input_schema", "output_schema", "state_schema", "config_schema"}


@pytest.fixture
async def studio(api: str) -> AsyncIterator[httpx.AsyncClient]:
    """Asks as its page does. Whatever is answered must be readable from there."""

    async def readable(response: httpx.Response) -> None:
        assert response.headers["access-control-allow-origin"] in {"*", ORIGIN}
        exposed = response.headers["access-control-expose-headers"].lower().split(", ")
        assert {"content-location", "location", "x-pagination-total"} <= set(exposed)

    async with httpx.AsyncClient(
        base_url=api,
        timeout=30,
        headers={"origin": ORIGIN, "x-auth-scheme": "langsmith"},
        event_hooks={"response": [readable]},
    ) as client:
        yield client


async def post(studio: httpx.AsyncClient, path: str, body: Any) -> Any:
    """The JSON answer to a body that is JSON, but says that it is text."""
    text = {"content-type": "text/plain;charset=UTF-8"}
    response = await studio.post(path, content=json.dumps(body), headers=text)
    assert response.status_code == 200, response.text
    return response.json()


async def streamed(studio: httpx.AsyncClient, thread: str, body: Any) -> list[tuple[str, Any]]:
    """The names and data of the events of a run."""
    text = {"content-type": "text/plain;charset=UTF-8"}
    path = f"/threads/{thread}/runs/stream"
    response = await studio.post(path, content=json.dumps(body), headers=text)
    assert response.headers["content-type"].startswith("text/event-stream")
    return [(event["event"], json.loads(event["data"])) for event in whole(response.text)]


async def new_thread(studio: httpx.AsyncClient) -> str:
    return str((await post(studio, "/threads", {"metadata": None}))["thread_id"])


async def assistant_of(studio: httpx.AsyncClient, graph: str) -> str:
    body = {"limit": 10, "offset": 0, "graph_id": graph, "metadata": {"created_by": "system"}}
    return str((await post(studio, "/assistants/search", body))[0]["assistant_id"])


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_public_page_may_ask_the_users_own_machine(guarded_api: str, method: str) -> None:
    """Nobody has a key before the browser has let the page ask with one."""
    async with httpx.AsyncClient(base_url=guarded_api) as client:
        preflight = await client.options(
            "/threads",
            headers={
                "Origin": ORIGIN,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": OWN_HEADERS,
                "Access-Control-Request-Private-Network": "true",
            },
        )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-private-network"] == "true"
    assert preflight.headers["access-control-allow-origin"] in {"*", ORIGIN}
    assert method in preflight.headers["access-control-allow-methods"].split(", ")
    allowed = preflight.headers["access-control-allow-headers"].lower().replace(" ", "").split(",")
    assert set(OWN_HEADERS.split(",")) <= set(allowed)


async def test_it_loads(studio: httpx.AsyncClient) -> None:
    info = (await studio.get("/info")).json()
    assert tuple(map(int, info["version"].split("."))) >= (0, 4, 0)
    assert info["flags"]["assistants"] is True

    body = {"limit": 1000, "offset": 0, "metadata": {"created_by": "system"}}
    assistants = await post(studio, "/assistants/search", body)
    assert set(GRAPHS) <= {assistant["graph_id"] for assistant in assistants}
    for assistant in assistants:
        path = f"/assistants/{assistant['assistant_id']}"
        assert (await studio.get(path)).json() == assistant
        schemas = (await studio.get(f"{path}/schemas")).json()
        assert schemas.keys() >= SCHEMAS
        assert schemas["input_schema"]["properties"]
        assert (await studio.get(f"{path}/graph?xray=true")).json()["nodes"]
        assert (await studio.get(f"{path}/subgraphs?recurse=true")).status_code == 200
        [version] = await post(studio, f"{path}/versions", {"limit": 100, "offset": 0})
        assert version["version"] == assistant["version"] == 1

    search = {"limit": 10, "offset": 0, "metadata": {"graph_id": "chat"}, "status": None}
    assert isinstance(await post(studio, "/threads/search", search), list)
    thread = await new_thread(studio)
    assert await post(studio, f"/threads/{thread}/history", {"limit": 1000}) == []


async def test_a_conversation_shows_its_tokens_and_its_checkpoints(
    studio: httpx.AsyncClient,
) -> None:
    thread = await new_thread(studio)
    events = await streamed(
        studio,
        thread,
        {
            "assistant_id": await assistant_of(studio, "chat"),
            "input": {"messages": [{"type": "human", "content": [{"type": "text", "text": "hi"}]}]},
            "config": {"configurable": {"unknown": None}, "recursion_limit": 100, "tags": []},
            "metadata": {},
            "command": None,
            "checkpoint": None,
            "webhook": None,
            "interrupt_before": [],
            "interrupt_after": None,
            "multitask_strategy": "rollback",
            "stream_mode": ["debug", "messages"],
            "stream_subgraphs": True,
        },
    )
    assert events[0][0] == "metadata"
    assert events[0][1]["run_id"]
    told = [data for name, data in events if name == "messages/partial"]
    assert told[-1][0]["content"] == REPLY
    debug = [data for name, data in events if name == "debug"]
    [*_, before, last] = [event["payload"] for event in debug if event["type"] == "checkpoint"]
    assert last["parent_checkpoint"] == before["checkpoint"]
    assert last["values"]["messages"][-1]["content"] == REPLY
    assert last["next"] == []
    [task] = [event["payload"] for event in debug if event["type"] == "task_result"]
    assert task["name"] == "model"
    history = await post(studio, f"/threads/{thread}/history", {"limit": 1000})
    assert history[0]["checkpoint"] == last["checkpoint"]
    assert history[0]["parent_checkpoint"] == last["parent_checkpoint"]


async def test_an_input_form_sends_all_of_its_fields(studio: httpx.AsyncClient) -> None:
    thread = await new_thread(studio)
    body = {"assistant_id": "work", "input": {"mode": "done", "secs": None, "steps": []}}
    events = await streamed(studio, thread, body | {"stream_mode": ["values"]})
    assert events[-1][1]["steps"] == ["prep", "done"]


async def test_a_node_is_run_again_from_a_copy_of_the_checkpoint_before_it(
    studio: httpx.AsyncClient,
) -> None:
    thread = await new_thread(studio)
    state = f"/threads/{thread}/state"
    body = {"assistant_id": "work", "input": {"mode": "done"}}
    await streamed(studio, thread, body)
    history = await post(studio, f"/threads/{thread}/history", {"limit": 1000})
    before = next(found for found in history if found["next"] == ["done"])

    at = {"checkpoint_id": before["checkpoint_id"]}
    copied = await post(studio, state, {"values": None, "as_node": "__copy__", **at})
    head = (await studio.get(f"{state}?subgraphs=true")).json()
    assert (head["metadata"]["source"], head["next"]) == ("fork", ["done"])
    assert head["parent_checkpoint"] == before["parent_checkpoint"]

    again = {"assistant_id": "work", "input": None, "checkpoint": copied["checkpoint"]}
    events = await streamed(studio, thread, again | {"stream_mode": ["debug", "values"]})
    ran = [data["payload"]["name"] for name, data in events if data.get("type") == "task"]
    assert ran == ["done"]
    assert events[-1][0] in {"values", "debug"}
    longer = await post(studio, f"/threads/{thread}/history", {"limit": 1000})
    assert len(longer) == len(history) + 2
    assert history == longer[2:]


async def test_a_state_is_edited_and_gone_on_from(studio: httpx.AsyncClient) -> None:
    thread = await new_thread(studio)
    state = f"/threads/{thread}/state"
    body = {"assistant_id": "approval", "input": {"topic": "cats", "draft": "", "log": []}}
    await streamed(studio, thread, body | {"interrupt_before": ["ask_human"]})
    head = (await studio.get(state)).json()
    assert (head["next"], head["interrupts"]) == (["ask_human"], [])

    edit = {"values": {"draft": "by hand"}, "as_node": "write_draft"}
    edited = await post(studio, state, edit | {"checkpoint": head["checkpoint"]})
    at = await post(studio, f"{state}/checkpoint", {"checkpoint": edited["checkpoint"]})
    assert at["values"]["draft"] == "by hand"

    await streamed(studio, thread, {"assistant_id": "approval", "input": None})
    [asked] = (await studio.get(state)).json()["interrupts"]
    assert asked["value"]["draft"] == "by hand"
    await streamed(studio, thread, {"assistant_id": "approval", "command": {"resume": "yes"}})
    assert (await studio.get(state)).json()["values"]["log"][-2:] == ["human:yes", "publish"]


async def test_its_assistants_are_changed_and_changed_back(studio: httpx.AsyncClient) -> None:
    made = await post(studio, "/assistants", {"graph_id": "chat", "name": "mine", "config": {}})
    path = f"/assistants/{made['assistant_id']}"
    body = json.dumps({"name": "renamed", "config": {"recursion_limit": 50}})
    assert (await studio.patch(path, content=body)).json()["version"] == 2
    assert (await post(studio, f"{path}/latest", {"version": 1}))["name"] == "mine"
    assert (await studio.get(path)).json()["name"] == "mine"


async def test_its_memories_are_written_and_found(studio: httpx.AsyncClient) -> None:
    item = {"namespace": ["studio", "notes"], "key": "k", "value": {"text": "one"}}
    assert (await studio.put("/store/items", content=json.dumps(item))).status_code == 204
    spaces = await post(studio, "/store/namespaces", {"prefix": ["studio"], "limit": 100})
    assert spaces == {"namespaces": [["studio", "notes"]]}
    found = await post(studio, "/store/items/search", {"namespace_prefix": ["studio"]})
    assert [item["value"] for item in found["items"]] == [{"text": "one"}]


async def test_its_threads_are_copied_and_deleted(studio: httpx.AsyncClient) -> None:
    thread = await new_thread(studio)
    await streamed(studio, thread, {"assistant_id": "work", "input": {"mode": "done"}})
    copy = (await studio.post(f"/threads/{thread}/copy")).json()["thread_id"]
    assert (await studio.delete(f"/threads/{thread}")).status_code == 204
    assert (await studio.get(f"/threads/{thread}")).status_code == 404
    state = (await studio.get(f"/threads/{copy}/state")).json()
    assert state["values"]["steps"] == ["prep", "done"]
