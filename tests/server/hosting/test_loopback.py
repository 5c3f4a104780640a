"""The SDK's client without a URL, in the code of a project that has users of its own."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from engine.settings import Settings
from server.app import create_app
from server.hosting.hosted import host, prepare
from tests.fakes.serving import serving

GRAPH = """
from langgraph.graph import START, StateGraph
from langgraph_sdk import get_client
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    seen: list
    made: str


async def look(state: State) -> State:
    client = get_client()
    made = await client.threads.create()
    return {
        "seen": [thread["metadata"]["owner"] for thread in await client.threads.search()],
        "made": made["metadata"]["owner"],
    }


looking = StateGraph(State).add_node("look", look).add_edge(START, "look")
"""

AUTH = """
from langgraph_sdk import Auth, get_client

auth = Auth()


@auth.authenticate
async def who(authorization: str):
    return {"identity": authorization.removeprefix("Bearer "), "permissions": ["chat"]}


@auth.on.threads
async def own(ctx, value):
    assert ctx.permissions == ["chat"]
    value.setdefault("metadata", {})["owner"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on.threads.create_run
async def told_of_in_time(ctx, value):
    seen = await get_client().threads.search()
    value["metadata"]["before"] = [thread["metadata"]["owner"] for thread in seen]
    return {"owner": ctx.user.identity}
"""

WEB = """
from langgraph_sdk import get_client
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def everybody(request):
    found = await get_client().threads.search(limit=100)
    return JSONResponse([thread["metadata"].get("owner") for thread in found])


app = Starlette(routes=[Route("/everybody", everybody)])
"""


@pytest.fixture
async def url(
    served_settings: Settings, tmp_path: Path, imports_as_before: None
) -> AsyncIterator[str]:
    for name, text in {"looking": GRAPH, "handlers": AUTH, "pages": WEB}.items():
        (tmp_path / f"{name}.py").write_text(text)
    file = tmp_path / "langgraph.json"
    keys = {
        "graphs": {"looking": "./looking.py:looking"},
        "auth": {"path": "./handlers.py:auth"},
        "http": {"app": "./pages.py:app"},
    }
    file.write_text(json.dumps(keys))
    hosted = host(prepare(file))
    app = create_app(served_settings, hosted.open_graphs, hosted=hosted)
    async with serving(app) as url:
        yield url


def client(url: str, name: str) -> LangGraphClient:
    return get_client(url=url, api_key=None, headers={"authorization": f"Bearer {name}"})


async def test_code_that_works_for_a_user_sees_what_the_user_sees(url: str) -> None:
    async with client(url, "eve") as eve, client(url, "fay") as fay:
        await eve.threads.create()
        thread: Any = await fay.threads.create()
        output: Any = await fay.runs.wait(thread["thread_id"], "looking", input={})
        assert output == {"seen": ["fay", "fay"], "made": "fay"}
        (run,) = await fay.runs.list(thread["thread_id"])
        assert run["metadata"]["before"] == ["fay"]


async def test_a_route_of_the_project_works_for_nobody_and_sees_all(url: str) -> None:
    async with client(url, "carl") as carl, client(url, "dora") as dora:
        await carl.threads.create()
        await dora.threads.create()
    async with httpx.AsyncClient(base_url=url) as raw:
        assert {"carl", "dora"} <= set((await raw.get("/everybody")).json())
