"""`frontdesk serve --config`: a project that is not ours, served by a process of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import APIStatusError

from engine.settings import Settings
from server.app import create_app
from server.hosting.hosted import host, prepare
from tests.fakes.serving import serving

AGENT = """
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph_sdk import get_client
from langgraph_sdk.runtime import ServerRuntime
from tools import WORD
from typing_extensions import TypedDict

assert Path("langgraph.json").exists(), "started elsewhere, a project's files are here all the same"


class State(TypedDict, total=False):
    said: str
    told: dict


def tell(state: State, runtime: Runtime) -> State:
    told = dict(get_config()["configurable"])
    user = runtime.server_info.user
    return {"said": WORD, "told": {
        key: told[key] for key in told if key.startswith("x-") or key == "authorization"
    } | {"identity": user.identity}}


def remember(state: State, runtime: Runtime) -> State:
    runtime.store.put(("notes",), "n", {"said": state["said"]})
    return {}


telling = StateGraph(State).add_sequence([tell, remember]).add_edge(START, "tell").compile()


def by_config(config: RunnableConfig):
    names = [f"step{n}" for n in range(config["configurable"].get("steps", 1))]
    graph = StateGraph(State)
    graph.add_sequence([(name, lambda state: {"said": names[-1]}) for name in names])
    return graph.add_edge(START, names[0])


async def by_runtime(runtime: ServerRuntime):
    async def say(state: State) -> State:
        return {"said": f"{runtime.access_context} {runtime.ensure_user().identity}"}

    return StateGraph(State).add_node("say", say).add_edge(START, "say")


async def ask(state: State) -> State:
    client = get_client()
    thread = await client.threads.create(metadata={"made": "inside"})
    output = await client.runs.wait(thread["thread_id"], "by_config", input={})
    return {"said": output["said"]}


calling = StateGraph(State).add_node("ask", ask).add_edge(START, "ask")


@entrypoint()
def functional(given: dict, *, previous=None) -> dict:
    return {"total": given["n"] + (previous or {}).get("total", 0)}
"""

WEB = """
from contextlib import asynccontextmanager
from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app):
    yield {"opened": "by lifespan"}


app = FastAPI(lifespan=lifespan)


@app.get("/hello")
async def hello(request: Request):
    return {"hello": request.state.opened}


@app.put("/threads/search")
async def put_search():
    return {"mine": True}


@app.get("/info")
async def info():
    return {"mine": True}


@app.middleware("http")
async def mark(request, call_next):
    if request.headers.get("x-stop"):
        from starlette.responses import PlainTextResponse
        return PlainTextResponse("stopped", 418)
    response = await call_next(request)
    response.headers["x-marked"] = "yes"
    return response
"""

PROJECT: Any = {
    "dependencies": ["."],
    "env": ".env",
    "graphs": {
        "telling": {"path": "./agent.py:telling", "description": "Tells what it was given."},
        "by_config": "./agent.py:by_config",
        "by_runtime": "./agent.py:by_runtime",
        "calling": "./agent.py:calling",
        "functional": "./agent.py:functional",
    },
    "store": {"ttl": {"default_ttl": 60}},
    "http": {
        "app": "./web.py:app",
        "disable_mcp": True,
        "configurable_headers": {
            "includes": ["x-*", "X-Tenant-Id"],
            "excludes": ["x-secret-*"],
        },
    },
    "colour": "blue",
}


def write(folder: Path, keys: Mapping[str, Any], **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in {"agent": AGENT, "web": WEB, "tools": "WORD = 'hi'", **files}.items():
        (folder / f"{name}.py").write_text(dedent(text))
    (folder / ".env").write_text("FRONTDESK_SLOTS=5\n")
    file = folder / "langgraph.json"
    file.write_text(json.dumps(keys, indent=1))
    return file


@pytest.fixture(scope="module")
async def settings(
    postgres_dsn: str, _redis_server: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database hosted template frontdesk")
    return Settings(
        _env_file=None,
        database_url=postgres_dsn.replace("/postgres?", "/hosted?"),
        redis_url=_redis_server,
        data=tmp_path_factory.mktemp("hosted"),
        lease_seconds=1.0,
        drain_seconds=0.5,
        max_lag_seconds=30.0,
    )


class Process:
    """`frontdesk serve --config` on a free port."""

    def __init__(self, file: Path, settings: Settings, *words: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = file.parent / "log"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FRONTDESK_", "OPENAI_"))}
        env |= {
            "DATABASE_URL": settings.database_url or "",
            "REDIS_URL": settings.redis_url or "",
            "FRONTDESK_DATA": str(settings.data),
            "FRONTDESK_MAX_LAG_SECONDS": "30",
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        command = [sys.executable, "-P", "-m", "server", "serve", "--config", str(file)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port), *words],
                env=env,
                cwd=file.parents[1],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    async def until_it_answers(self) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            while self._process.poll() is None:
                try:
                    await client.get("/ok")
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                else:
                    return
        raise AssertionError(self.said)

    async def until_it_ends(self) -> int:
        return await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        await self.until_it_ends()


@asynccontextmanager
async def running(folder: Path, settings: Settings, *words: str) -> AsyncIterator[Process]:
    process = Process(write(folder, PROJECT), settings, *words)
    try:
        await process.until_it_answers()
        yield process
    finally:
        await process.stop()


@pytest.fixture(scope="module")
async def process(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Process]:
    async with running(tmp_path_factory.mktemp("project"), settings) as process:
        yield process


@pytest.fixture
async def raw(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        yield client


@pytest.fixture
async def client(process: Process) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=process.url) as client:
        yield client


async def test_each_graph_has_an_assistant_with_what_is_said_of_it(client: LangGraphClient) -> None:
    found = {one["graph_id"]: one for one in await client.assistants.search()}
    assert found.keys() == PROJECT["graphs"].keys()
    assert found["telling"]["description"] == "Tells what it was given."


async def test_graphs_find_the_chosen_headers_and_nothing_else(client: LangGraphClient) -> None:
    headers = {
        "X-Colour": "blue",
        "X-Secret-Word": "no",
        "X-Api-Key": "no",
        "X-Tenant-Id": "named",
        "Authorization": "Bearer no",
    }
    output: Any = await client.runs.wait(None, "telling", input={}, headers=headers)
    assert output["said"] == "hi"
    assert output["told"] == {"x-colour": "blue", "x-tenant-id": "named", "identity": "local"}


async def test_what_nodes_remember_is_in_the_store_that_the_api_serves(
    client: LangGraphClient,
) -> None:
    await client.runs.wait(None, "telling", input={})
    item: Any = await client.store.get_item(["notes"], "n")
    assert item["value"] == {"said": "hi"}


async def test_items_last_as_long_as_the_project_says_unless_their_writer_does(
    raw: httpx.AsyncClient, settings: Settings
) -> None:
    asked: dict[str, Any] = {"default": {}, "for ever": {"ttl": None}, "short": {"ttl": 5}}
    for key, ttl in asked.items():
        body = {"namespace": ["lasting"], "key": key, "value": {}, **ttl}
        assert (await raw.put("/store/items", json=body)).status_code == 204
    sql = "select key, extract(epoch from ttl) / 60 from checkpoints.memories where key = any(%s)"
    async with await psycopg.AsyncConnection.connect(settings.database_url or "") as conn:
        rows = await (await conn.execute(sql, (list(asked),))).fetchall()
    assert dict(rows) == {"default": 60, "for ever": None, "short": 5}


async def test_a_factory_builds_what_the_configuration_says(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    tid = thread["thread_id"]
    config: Any = {"configurable": {"steps": 3}}
    await client.runs.wait(tid, "by_config", input={}, config=config)
    state: Any = await client.threads.get_state(tid)
    assert (state["values"], state["next"]) == ({"said": "step2"}, [])
    assistant = await client.assistants.create("by_config", config=config)
    drawn: Any = await client.assistants.get_graph(assistant["assistant_id"])
    assert [node["id"] for node in drawn["nodes"]][1:-1] == ["step0", "step1", "step2"]


async def test_a_factory_that_fails_fails_the_run_and_leaves_the_thread_readable(
    client: LangGraphClient,
) -> None:
    tid = (await client.threads.create())["thread_id"]
    config: Any = {"configurable": {"steps": "many"}}
    output: Any = await client.runs.wait(
        tid, "by_config", input={}, config=config, raise_error=False
    )
    assert output["__error__"]["error"] == "TypeError"
    assert (await client.threads.get(tid))["status"] == "error"
    assert (await client.threads.get_state(tid))["values"] == {}
    await client.runs.wait(tid, "by_config", input={}, config={"configurable": {"steps": 2}})
    assert (await client.threads.get_state(tid))["values"] == {"said": "step1"}


async def test_a_factory_knows_the_caller_and_why_it_is_asked(client: LangGraphClient) -> None:
    output: Any = await client.runs.wait(None, "by_runtime", input={})
    assert output == {"said": "threads.create_run local"}


async def test_a_node_may_call_the_api_it_runs_in(client: LangGraphClient) -> None:
    output: Any = await client.runs.wait(None, "calling", input={})
    assert output == {"said": "step0"}
    [made] = await client.threads.search(metadata={"made": "inside"})
    assert made["values"] == {"said": "step0"}


async def test_a_function_remembers_what_it_returned(client: LangGraphClient) -> None:
    tid = (await client.threads.create())["thread_id"]
    await client.runs.wait(tid, "functional", input={"n": 2})
    output: Any = await client.runs.wait(tid, "functional", input={"n": 3})
    assert output == {"total": 5}
    assert (await client.threads.get(tid))["values"] == {"total": 5}
    schemas: Any = await client.assistants.search(graph_id="functional")
    assert await client.assistants.get_schemas(schemas[0]["assistant_id"])


async def test_the_projects_own_routes_come_first_and_its_middleware_is_around_all(
    raw: httpx.AsyncClient,
) -> None:
    hello = await raw.get("/hello")
    assert hello.json() == {"hello": "by lifespan"}
    assert (await raw.get("/info")).json() == {"mine": True}
    searched = await raw.post("/threads/search", json={})
    assert [one.headers["x-marked"] for one in (hello, searched)] == ["yes", "yes"]
    assert (await raw.post("/threads", json={}, headers={"x-stop": "1"})).status_code == 418
    assert (await raw.post("/hello")).status_code == 405
    missing = await raw.get("/nowhere")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})


async def test_parts_that_are_taken_away_are_neither_served_nor_documented(
    raw: httpx.AsyncClient,
) -> None:
    assert (await raw.post("/mcp", json={})).status_code == 404
    paths = (await raw.get("/openapi.json")).json()["paths"]
    assert "/hello" in paths
    assert "/threads/{thread_id}" in paths
    assert not [path for path in paths if path.startswith("/mcp")]


async def test_an_unknown_key_is_warned_of(process: Process) -> None:
    assert "langgraph.json: colour: is not a key that is known here" in process.said


async def test_a_broken_graph_is_one_line_with_file_and_line(
    settings: Settings, tmp_path: Path
) -> None:
    file = write(tmp_path, PROJECT, tools="import os\nWORD = os.environ['NOT_SET']\n")
    broken = Process(file, settings)
    assert await broken.until_it_ends() == 1
    said = re.sub(r"\s+", " ", broken.said)  # a terminal's width decides where it wraps
    assert f"{tmp_path}/tools.py:2: graphs.telling cannot be loaded: KeyError: 'NOT_SET'" in said
    assert "Traceback" not in said


@pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect")
async def test_a_change_starts_it_again(settings: Settings, tmp_path: Path) -> None:
    async with (
        running(tmp_path, settings, "--reload") as process,
        get_client(url=process.url) as client,
    ):

        async def said() -> Any:
            try:
                output: Any = await client.runs.wait(None, "telling", input={})
            except (httpx.TransportError, APIStatusError):  # it stops
                return None
            return output["said"]

        assert await said() == "hi"
        (tmp_path / "tools.py").write_text("WORD = 'changed'")
        while await said() != "changed":
            await asyncio.sleep(0.2)


NAPPING = """
import asyncio

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    rested: bool


async def nap(state: State) -> State:
    await asyncio.sleep(60)
    return {"rested": True}


graph = StateGraph(State).add_node("nap", nap).add_edge(START, "nap")
"""


@pytest.mark.usefixtures("imports_as_before")
async def test_an_answer_that_breaks_off_does_so_through_a_projects_middleware(
    settings: Settings, tmp_path: Path
) -> None:
    keys = {"graphs": {"napping": "./agent.py:graph"}, "http": {"app": "./web.py:app"}}
    hosted = host(prepare(write(tmp_path, keys, agent=NAPPING)))
    async with httpx.AsyncClient(timeout=30) as client:
        async with serving(create_app(settings, hosted.open_graphs, hosted=hosted)) as url:
            body = {"assistant_id": "napping", "input": {}}
            request = client.build_request("POST", f"{url}/runs/wait", json=body)
            response = await client.send(request, stream=True)
            assert response.headers["x-marked"] == "yes"
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()


@asynccontextmanager
async def hosting(
    folder: Path, settings: Settings, http: Mapping[str, Any], keys: str = ""
) -> AsyncIterator[httpx.AsyncClient]:
    guarded = settings.model_copy(update={"api_keys": type(settings.api_keys)(keys)})
    graphs = {"telling": PROJECT["graphs"]["telling"]}
    hosted = host(prepare(write(folder, {"graphs": graphs, "http": http})))
    app = create_app(guarded, hosted.open_graphs, hosted=hosted)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


@pytest.mark.usefixtures("imports_as_before")
@pytest.mark.parametrize(
    ("order", "everywhere", "hello", "stopped"),
    [
        ("middleware_first", False, 200, 418),
        ("middleware_first", True, 401, 418),
        ("auth_first", False, 200, 401),
        ("auth_first", True, 401, 401),
    ],
)
async def test_who_may_call_the_projects_routes_is_for_the_project_to_say(
    settings: Settings, tmp_path: Path, order: str, everywhere: bool, hello: int, stopped: int
) -> None:
    http = {
        "app": "./web.py:app",
        "middleware_order": order,
        "enable_custom_route_auth": everywhere,
    }
    async with hosting(tmp_path, settings, http, "acme:trusted:secret") as client:
        for theirs in ("/hello", "/info"):
            assert (await client.get(theirs)).status_code == hello
        assert (await client.get("/ok")).status_code == 200
        assert (await client.post("/threads", json={})).status_code == 401
        known = {"x-api-key": "secret"}
        assert (await client.post("/threads", json={}, headers=known)).status_code == 200
        assert (await client.get("/hello", headers=known)).status_code == 200
        anonymous = await client.post("/threads", json={}, headers={"x-stop": "1"})
        assert anonymous.status_code == stopped


@pytest.mark.usefixtures("imports_as_before")
async def test_everything_may_be_below_a_path_and_open_to_some_origins_only(
    settings: Settings, tmp_path: Path
) -> None:
    http = {
        "mount_prefix": "/api",
        "cors": {"allow_origins": ["https://shop.test"], "expose_headers": ["x-mine"]},
        "disable_runs": True,
        "disable_meta": True,
    }
    async with hosting(tmp_path, settings, http) as client:
        assert (await client.get("/ok")).json()["ok"]
        assert (await client.post("/threads", json={})).status_code == 404
        made = await client.post("/api/threads", json={}, headers={"origin": "https://shop.test"})
        assert made.status_code == 200
        assert made.headers["access-control-allow-origin"] == "https://shop.test"
        assert "content-location" in made.headers["access-control-expose-headers"]
        assert "x-mine" in made.headers["access-control-expose-headers"]
        other = await client.get("/api/ok", headers={"origin": "https://other.test"})
        assert "access-control-allow-origin" not in other.headers
        thread = f"/api/threads/{made.json()['thread_id']}"
        assert (await client.get(thread)).status_code == 200
        for path in (f"{thread}/runs", f"{thread}/runs/crons", "/api/runs/crons", "/api/info"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.get(f"/api{thread}/runs")).status_code == 404
        assert (await client.get("/api/api/info")).status_code == 404


HEARING = """
import asyncio

from fastapi import FastAPI, Request

app = FastAPI()
heard = asyncio.Queue()


@app.post("/hook")
async def hook(request: Request):
    heard.put_nowait(await request.json())


@app.get("/heard")
async def hear():
    return await heard.get()
"""


@pytest.mark.usefixtures("imports_as_before")
async def test_a_relative_webhook_is_a_route_of_the_project_below_the_path(
    settings: Settings, database_url: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    keys = {
        "graphs": {"telling": PROJECT["graphs"]["telling"]},
        "http": {"app": "./web.py:app", "mount_prefix": "/api"},
        "webhooks": {"url": {"disable_loopback": False}},
    }
    hosted = host(prepare(write(tmp_path, keys, web=HEARING)))
    alone = {"port": unused_tcp_port, "database_url": database_url}  # or another delivers it
    there = settings.model_copy(update=alone)
    app = create_app(there, hosted.open_graphs, hosted=hosted)
    async with (
        serving(app, unused_tcp_port) as url,
        httpx.AsyncClient(base_url=f"{url}/api", timeout=30) as client,
    ):
        asked = {"assistant_id": "telling", "input": {}, "webhook": "/hook"}
        run = (await client.post("/runs", json=asked)).json()
        assert (await client.get("/heard")).json()["run_id"] == run["run_id"]
