from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from langgraph_sdk import Auth, get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    UnprocessableEntityError,
)

from engine.ids import system_assistant_id
from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Door
from server.auth.handlers import Handlers
from tests.fakes.owners import owners
from tests.fakes.serving import sample_graphs, serving

SYSTEM: Any = {"created_by": "system"}
CHAT = "eb6db400-e3c8-5d06-a834-015cb89efe69"


def test_ids_of_graphs_are_the_ones_that_clients_have_built_in() -> None:
    assert system_assistant_id("agent") == UUID("fe096781-5601-53d2-b2f6-0d3403f7e9ca")


async def test_every_graph_has_an_assistant(client: LangGraphClient) -> None:
    (found,) = await client.assistants.search(graph_id="chat", metadata=SYSTEM)
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
    assert await client.assistants.count(name="PROV", metadata=SYSTEM) == 1


async def test_assistants_are_found_page_by_page(client: LangGraphClient) -> None:
    page: Any = await client.assistants.search(limit=1, response_format="object")
    assert page["next"] == "1"
    names = {one["name"] for one in await client.assistants.search(metadata=SYSTEM, limit=99)}
    assert names >= {"chat", "approval", "work", "record", "complaint"}
    ordered = await client.assistants.search(
        metadata=SYSTEM, sort_by="name", sort_order="asc", limit=2, offset=1
    )
    assert [one["name"] for one in ordered] == sorted(names)[1:3]
    chosen: Any = ["name"]
    assert await client.assistants.search(metadata=SYSTEM, name="APPROV", select=chosen) == [
        {"name": "approval"}
    ]


async def test_unknown_graphs_and_assistants_are_missing(
    client: LangGraphClient, raw: httpx.AsyncClient
) -> None:
    with pytest.raises(NotFoundError, match="Graph 'nope' not found"):
        await client.assistants.search(graph_id="nope")
    with pytest.raises(NotFoundError, match="Graph 'nope' not found"):
        await client.assistants.count(graph_id="nope")
    with pytest.raises(NotFoundError):
        await client.assistants.get(str(uuid4()))
    for path in (
        "/assistants/chat",
        "/assistants/chat/schemas",
        "/assistants/chat/subgraphs",
        "/assistants/nope/graph",
    ):
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
    for wrong in ("0", "maybe", "-1", "9" * 5_000):
        response = await raw.get("/assistants/work/graph", params={"xray": wrong})
        assert (response.status_code, response.json()["detail"]) == (422, "Invalid xray value")


async def test_schemas_describe_input_state_and_context(client: LangGraphClient) -> None:
    (work,) = await client.assistants.search(graph_id="work", metadata=SYSTEM)
    schemas: Any = await client.assistants.get_schemas(work["assistant_id"])
    assert schemas["graph_id"] == "work"
    assert schemas["input_schema"]["properties"]["mode"] == {"title": "Mode", "type": "string"}
    assert schemas["state_schema"]["title"] == "work_state"
    assert schemas["context_schema"]["properties"]["pace"]["type"] == "integer"
    assert schemas["config_schema"] == schemas["context_schema"]
    schemas = await client.assistants.get_schemas(CHAT)
    assert (schemas["config_schema"], schemas["context_schema"]) == ({}, None)
    assert "messages" in schemas["output_schema"]["properties"]


async def test_subgraphs_are_described_by_namespace(
    client: LangGraphClient, raw: httpx.AsyncClient
) -> None:
    work = str(system_assistant_id("work"))
    found: Any = await client.assistants.get_subgraphs(work)
    assert list(found) == ["child"]
    assert found["child"]["state_schema"]["properties"]["steps"]["type"] == "array"
    assert found["child"]["context_schema"] is None
    assert await client.assistants.get_subgraphs(work, "child", recurse=True) == found
    assert await client.assistants.get_subgraphs(work, "nope") == {}
    assert await client.assistants.get_subgraphs(CHAT) == {}
    assert (await raw.get(f"/assistants/{uuid4()}/subgraphs")).json() == {"detail": "Not Found"}


@pytest.fixture
async def mine(client: LangGraphClient) -> str:
    """An assistant's id."""
    made: Any = await client.assistants.create(
        "work",
        config={"configurable": {"pace": 1}, "tags": ["t"], "recursion_limit": 7},
        metadata={"a": 1, "b": {"c": 1}},
        description="d",
    )
    return str(made["assistant_id"])


async def test_config_and_context_mirror_each_other(
    client: LangGraphClient, raw: httpx.AsyncClient, mine: str
) -> None:
    found: Any = await client.assistants.get(mine)
    assert found["context"] == {"pace": 1}
    assert found["config"] == {"configurable": {"pace": 1}, "tags": ["t"], "recursion_limit": 7}
    assert (found["name"], found["description"], found["version"]) == ("Untitled", "d", 1)
    made: Any = await client.assistants.create("work", context={"pace": 2})
    assert (made["config"], made["context"]) == ({"configurable": {"pace": 2}}, {"pace": 2})
    patched: Any = await client.assistants.update(mine, context={"pace": 3})
    assert patched["config"] == {
        "configurable": {"pace": 3},
        "tags": ["t"],
        "recursion_limit": 7,
    }
    patched = await client.assistants.update(mine, config={"tags": ["u"]})
    assert (patched["config"], patched["context"]) == ({"tags": ["u"]}, {"pace": 3})
    patched = await client.assistants.update(mine, config={"configurable": {"pace": 4}})
    assert patched["context"] == {"pace": 4}
    body: Any = {"context": {}, "config": {}}
    patched = (await raw.patch(f"/assistants/{mine}", json=body)).json()
    assert (patched["config"], patched["context"]) == ({"configurable": {"pace": 4}}, {})
    with pytest.raises(UnprocessableEntityError):
        await client.assistants.update(mine, config={"recursion_limit": "x"})  # type: ignore[typeddict-item]
    both: Any = {"config": {"configurable": {"pace": 1}}, "context": {"pace": 2}}
    with pytest.raises(BadRequestError, match="Cannot specify both configurable and context"):
        await client.assistants.create("work", **both)
    with pytest.raises(BadRequestError, match="Cannot specify both configurable and context"):
        await client.assistants.update(mine, **both)


async def test_an_id_is_taken_once(client: LangGraphClient, mine: str) -> None:
    stored = await client.assistants.get(mine)
    with pytest.raises(ConflictError, match=f"Assistant {mine} already exists"):
        await client.assistants.create("chat", assistant_id=mine)
    kept = await client.assistants.create(
        "chat", assistant_id=mine, name="other", if_exists="do_nothing"
    )
    assert kept == stored
    named = str(uuid4())
    made: Any = await client.assistants.create("chat", assistant_id=named, name="mine")
    assert (made["assistant_id"], made["name"]) == (named, "mine")
    with pytest.raises(NotFoundError, match=r"Graph 'nope' not found\. Expected one of: "):
        await client.assistants.create("nope")


async def test_text_that_no_database_can_hold_is_refused(raw: httpx.AsyncClient, mine: str) -> None:
    for text in ("a\\ud800", "a\\u0000"):
        for field in ("name", "description"):
            content = f'{{"{field}": "{text}"}}'
            response = await raw.patch(f"/assistants/{mine}", content=content)
            assert response.status_code == 422
            assert response.json()["detail"].startswith("The database cannot hold this")


async def test_every_patch_makes_a_version_and_merges_metadata(
    client: LangGraphClient, raw: httpx.AsyncClient, mine: str
) -> None:
    assert (await raw.patch(f"/assistants/{mine}", json={})).json()["version"] == 2
    patched: Any = await client.assistants.update(
        mine, graph_id="chat", name="N", description="e", metadata={"b": 2}
    )
    assert (patched["version"], patched["graph_id"]) == (3, "chat")
    assert (patched["name"], patched["description"]) == ("N", "e")
    assert patched["metadata"] == {"a": 1, "b": 2}
    assert patched["updated_at"] > patched["created_at"]
    versions: Any = await client.assistants.get_versions(mine)
    assert [one["version"] for one in versions] == [3, 2, 1]
    assert "updated_at" not in versions[0]
    assert versions[0]["created_at"] == patched["updated_at"]
    assert versions[1]["metadata"] == versions[2]["metadata"] == {"a": 1, "b": {"c": 1}}
    assert await client.assistants.get_versions(mine, limit=1, offset=1) == versions[1:2]
    assert await client.assistants.get_versions(mine, metadata={"b": 2}) == versions[:1]
    some: Any = {"list": [1, 2]}
    await client.assistants.update(mine, metadata=some)
    assert len(await client.assistants.get_versions(mine, metadata=some)) == 1
    assert await client.assistants.count(metadata=some) == 1
    assert await client.assistants.get_versions(mine, metadata={"list": [1]}) == []  # type: ignore[dict-item]
    assert await client.assistants.count(metadata={"list": [1]}) == 0  # type: ignore[dict-item]
    with pytest.raises(NotFoundError, match="Graph 'nope' not found"):
        await client.assistants.update(mine, graph_id="nope")


async def test_going_back_restores_all_of_a_version(client: LangGraphClient, mine: str) -> None:
    first: Any = await client.assistants.get(mine)
    changed: Any = {"graph_id": "chat", "name": "N", "description": "e", "context": {"pace": 9}}
    await client.assistants.update(mine, **changed)
    back: Any = await client.assistants.set_latest(mine, 1)
    assert {**back, "updated_at": None} == {**first, "updated_at": None}
    assert await client.assistants.get(mine) == back
    assert (await client.assistants.update(mine, name="M"))["version"] == 3


async def test_missing_assistants_and_versions_are_named(
    client: LangGraphClient, raw: httpx.AsyncClient, mine: str
) -> None:
    with pytest.raises(NotFoundError, match=f"Version 99 not found for assistant {mine}"):
        await client.assistants.set_latest(mine, 99)
    response = await raw.post(f"/assistants/{mine}/latest", json={})
    assert response.json() == {"detail": f"Version None not found for assistant {mine}"}
    missing = str(uuid4())
    for path in ("versions", "latest"):
        response = await raw.post(f"/assistants/{missing}/{path}", json={})
        assert response.json() == {"detail": f"Assistant {missing} not found"}
    response = await raw.patch(f"/assistants/{missing}", json={})
    assert (response.status_code, response.json()["detail"]) == (
        404,
        f"Assistant {missing} not found",
    )
    with pytest.raises(NotFoundError, match=f"Assistant with ID {missing} not found"):
        await client.assistants.delete(missing)


async def test_runs_use_the_version_that_is_the_latest(client: LangGraphClient, tid: str) -> None:
    made: Any = await client.assistants.create("work", context={"who": "first"})
    mine = str(made["assistant_id"])

    async def told() -> Any:
        stream = client.runs.stream(tid, mine, input={"mode": "tell"}, stream_mode="custom")
        parts = [part.data async for part in stream if part.event == "custom"]
        return parts[0]["configurable"]["who"]

    assert await told() == "first"
    await client.assistants.update(mine, context={"who": "second"})
    assert await told() == "second"
    await client.assistants.set_latest(mine, 1)
    assert await told() == "first"
    await client.assistants.delete(mine)
    with pytest.raises(NotFoundError, match="Thread or assistant not found"):
        await told()
    await client.assistants.create("work", assistant_id=mine, context={"who": "another"})
    assert await told() == "another"


async def test_a_deleted_assistant_leaves_its_runs_and_takes_its_threads_if_asked(
    client: LangGraphClient, mine: str
) -> None:
    made: Any = [await client.threads.create() for _ in range(2)]
    kept, gone = (str(one["thread_id"]) for one in made)
    slow: Any = {"mode": "slow", "secs": 0.3}
    run: Any = await client.runs.create(kept, mine, input=slow)
    await client.assistants.delete(mine)
    with pytest.raises(NotFoundError):
        await client.assistants.get(mine)
    await client.runs.join(kept, run["run_id"])
    assert (await client.runs.get(kept, run["run_id"]))["status"] == "success"
    await client.assistants.create("work", assistant_id=mine)
    await client.runs.wait(gone, mine, input={"mode": "done"})
    other: Any = await client.threads.create(metadata={"assistant_id": str(uuid4())})
    await client.assistants.delete(mine, delete_threads=True)
    with pytest.raises(NotFoundError):
        await client.threads.get(gone)
    assert await client.threads.get(other["thread_id"]) == other


async def test_threads_of_a_deleted_assistant_are_deleted_as_each_may_be(
    served_settings: Settings,
) -> None:
    auth = owners()

    @auth.on.threads.delete
    async def not_for_carl(ctx: Auth.types.AuthContext, value: Any) -> Any:
        return {"owner": ctx.user.identity} if ctx.user.identity != "carl" else False

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        _named(url, "ann") as ann,
        _named(url, "bob") as bob,
        _named(url, "carl") as carl,
    ):
        shared = (await ann.assistants.create("work"))["assistant_id"]
        about: Any = {"assistant_id": shared}
        hers, his, kept = [await one.threads.create(metadata=about) for one in (ann, bob, carl)]
        with pytest.raises(PermissionDeniedError):
            await carl.assistants.delete(shared, delete_threads=True)
        assert await carl.threads.get(kept["thread_id"]) == kept
        await bob.assistants.delete(shared, delete_threads=True)
        assert await ann.threads.get(hers["thread_id"]) == hers
        with pytest.raises(NotFoundError):
            await bob.threads.get(his["thread_id"])


def _named(url: str, name: str) -> LangGraphClient:
    return get_client(url=url, api_key=None, headers={"authorization": name})


async def test_graphs_get_their_assistant_back_at_the_next_start(
    served_settings: Settings, postgres_dsn: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database restarted template frontdesk")
    url = postgres_dsn.replace("/postgres?", "/restarted?")
    settings = served_settings.model_copy(update={"database_url": url})
    async with (
        serving(create_app(settings, sample_graphs)) as url,
        get_client(url=url) as client,
    ):
        changed: Any = await client.assistants.update(
            str(system_assistant_id("work")), description="mine"
        )
        await client.assistants.delete(CHAT)
        assert await client.assistants.search(graph_id="chat") == []
    async with (
        serving(create_app(settings, sample_graphs)) as url,
        get_client(url=url) as client,
    ):
        assert (await client.assistants.get(CHAT))["version"] == 1
        assert len(await client.assistants.get_versions(CHAT)) == 1
        assert await client.assistants.get(changed["assistant_id"]) == changed


async def test_what_is_one_tenants_is_nothing_to_another(guarded_api: str) -> None:
    clients = [get_client(url=guarded_api, api_key=f"{who}-secret") for who in _WHO]
    ours, public, theirs = clients
    made: Any = await ours.assistants.create("chat", name="ours only")
    mine = str(made["assistant_id"])
    thread: Any = await theirs.threads.create()
    with pytest.raises(NotFoundError):
        await theirs.assistants.get(mine)
    with pytest.raises(NotFoundError):
        await theirs.assistants.update(mine, name="theirs")
    with pytest.raises(NotFoundError):
        await theirs.assistants.set_latest(mine, 1)
    with pytest.raises(NotFoundError):
        await theirs.assistants.delete(mine)
    with pytest.raises(ConflictError):
        await theirs.assistants.create("chat", assistant_id=mine, if_exists="do_nothing")
    with pytest.raises(NotFoundError, match="Thread or assistant not found"):
        await theirs.runs.create(thread["thread_id"], mine, input={})
    assert await theirs.assistants.search(name="ours only") == []
    assert await theirs.assistants.count(name="ours only") == 0
    for change in (
        public.assistants.create("chat"),
        public.assistants.update(mine, name="public"),
        public.assistants.delete(mine),
    ):
        with pytest.raises(PermissionDeniedError):
            await change
    assert await ours.assistants.get(mine) == made
    for client in clients:
        await client.aclose()


_WHO = ("back-end", "widget", "their")
