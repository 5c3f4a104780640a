"""Whatever belongs to somebody else does not exist, for every operation of the OpenAPI document.

Each is asked for by strangers who know every id of objects that exist: none may see a byte of them
or change them. The owner then asks for the same, which succeeds: so there was something to see.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from langgraph_sdk import Auth
from pydantic import SecretStr
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from engine.database import open_pool
from engine.ids import system_assistant_id
from engine.keys import SCOPES, ApiKeys
from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Door
from server.auth.handlers import Handlers
from tests.fakes.serving import sample_graphs, serving

KEYS = "ours:trusted:ours-secret,ours:public:widget,theirs:trusted:theirs-secret,theirs:public:tag"
NAMES_NOTHING = {"GET /", "GET /ok", "GET /info", "GET /metrics", "GET /mcp", "DELETE /mcp"}
SILENT = 0.4  # seconds for which a stranger listens to a stream that never ends
YEARLY = "0 0 1 1 *"

Json = dict[str, Any]
Headers = dict[str, str]
Answer = Callable[[int, str], bool]


@dataclass(frozen=True)
class Served:
    """One server with keys, one with handlers; the headers of `ann` and `bob`, who have keys."""

    http: httpx.AsyncClient
    keyed: str
    handled: str
    ann: Headers
    bob: Headers


@dataclass(frozen=True)
class World:
    """An owner's objects, by what a path or a body calls them; `mark` is in all of them."""

    http: httpx.AsyncClient
    url: str
    owner: Headers
    edits: bool
    mark: str
    ids: dict[str, str]


def _is(*statuses: int) -> Answer:
    return lambda status, _: status in statuses


def _says(text: str) -> Answer:
    """In an answer that is no refusal by its status."""
    return lambda status, said: status == 200 and text in said


def _is_exactly(value: Any) -> Answer:
    return lambda status, said: status == 200 and json.loads(said) == value


def _rpc_refused(status: int, said: str) -> bool:
    return status == 200 and "error" in json.loads(said)


def _silent(status: int, said: str) -> bool:
    """No more than beats."""
    return status == 200 and not said.replace(": heartbeat", "").strip()


MISSING = _is(404)


@dataclass(frozen=True)
class Case:
    """One request. `{names}` of the path and the body are ids of the owner's objects.

    What a stranger is answered must be `refused`. `shown`: the owner's answer has the mark in it.
    `edits`: only who may write states can ask. `seconds`: its stream never ends. `control`: the
    owner asks for it as well.
    """

    body: Any = None
    query: str = ""
    refused: Answer = MISSING
    shown: bool = False
    edits: bool = False
    seconds: float = 0.0
    control: bool = True
    headers: Headers = field(default_factory=dict)


def _rpc(method: str, params: Any) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _command(method: str, **params: Any) -> Case:
    return Case({"id": 1, "method": method, "params": params}, refused=_says('"type":"error"'))


def _said(**where: str) -> Json:
    part = {"kind": "text", "text": "hello"}
    return {"message": {"role": "user", "parts": [part], "messageId": uuid4().hex, **where}}


WORK: Json = {"assistant_id": "work", "input": {"mode": "done"}}
LATER: Json = {**WORK, "after_seconds": 3600}
HERS: Json = {"assistant_id": "{assistant_id}", "input": {"messages": []}}
CRON: Json = {"schedule": YEARLY, "input": {}}
ABOUT: Json = {"metadata": {"mark": "{mark}"}}
PLACE: Json = {"namespace": ["{mark}"], "key": "k"}
RUNS = [Case(WORK), Case({**WORK, "if_not_exists": "create"}), Case(HERS)]
READ = Case(shown=True)
ONE_RUN = "404: Run not found"

CASES: dict[str, list[Case]] = {
    "POST /assistants": [
        Case(
            {"graph_id": "chat", "assistant_id": "{assistant_id}", "if_exists": "do_nothing"},
            refused=_is(409),
            shown=True,
        ),
        Case(
            {"graph_id": "chat", "assistant_id": "{assistant_id}"}, refused=_is(409), control=False
        ),
    ],
    "POST /assistants/search": [
        Case(ABOUT, refused=_is_exactly([]), shown=True),
        Case({"limit": 1000}, refused=_is(200), shown=True),
        Case({"name": "{tool}"}, refused=_is_exactly([]), shown=True),
    ],
    "POST /assistants/count": [Case(ABOUT, refused=_is_exactly(0))],
    "GET /assistants/{assistant_id}": [READ],
    "PATCH /assistants/{assistant_id}": [Case({"description": "changed"})],
    "DELETE /assistants/{assistant_id}": [
        Case(query="delete_threads=true", control=False),
        Case(),
    ],
    "POST /assistants/{assistant_id}/versions": [Case({}, shown=True)],
    "POST /assistants/{assistant_id}/latest": [Case({"version": 1})],
    "GET /assistants/{assistant_id}/schemas": [Case()],
    "GET /assistants/{assistant_id}/graph": [Case()],
    "GET /assistants/{assistant_id}/subgraphs": [Case()],
    "GET /assistants/{assistant_id}/subgraphs/{namespace}": [Case()],
    "POST /threads": [
        Case({"thread_id": "{thread_id}"}, refused=_is(409), control=False),
        Case({"thread_id": "{thread_id}", "if_exists": "do_nothing"}, refused=_is(409), shown=True),
    ],
    "POST /threads/search": [
        Case(ABOUT, refused=_is_exactly([]), shown=True),
        Case({"ids": ["{thread_id}"]}, refused=_is_exactly([]), shown=True),
        Case({"values": {"topic": "{mark}"}}, refused=_is_exactly([]), shown=True),
        Case({"extract": {"it": "values.topic"}, "limit": 1000}, refused=_is(200), shown=True),
    ],
    "POST /threads/count": [
        Case(ABOUT, refused=_is_exactly(0)),
        Case({"ids": ["{thread_id}"]}, refused=_is_exactly(0)),
    ],
    "POST /threads/prune": [
        Case({"thread_ids": ["{thread_id}"]}, refused=_says('"pruned_count":0'), control=False),
        Case(
            {"thread_ids": ["{thread_id}"], "strategy": "keep_latest"},
            refused=_says('"pruned_count":0'),
        ),
    ],
    "GET /threads/{thread_id}": [READ, Case(query="include=ttl", shown=True)],
    "PATCH /threads/{thread_id}": [Case({"metadata": {"x": 1}}, shown=True)],
    "DELETE /threads/{thread_id}": [Case()],
    "POST /threads/{thread_id}/copy": [Case(refused=_is(409), shown=True)],
    "GET /threads/{thread_id}/storage": [Case()],
    "GET /threads/{thread_id}/state": [READ, Case(query="subgraphs=true", shown=True)],
    "POST /threads/{thread_id}/state": [
        Case({"values": {"log": ["x"]}, "as_node": "ask_human"}, edits=True)
    ],
    "PATCH /threads/{thread_id}/state": [Case({"metadata": {"x": 2}}, edits=True)],
    "GET /threads/{thread_id}/state/{checkpoint_id}": [READ],
    "POST /threads/{thread_id}/state/checkpoint": [
        Case({"checkpoint": {"checkpoint_id": "{checkpoint_id}"}}, shown=True)
    ],
    "GET /threads/{thread_id}/history": [READ],
    "POST /threads/{thread_id}/history": [Case({}, shown=True)],
    "GET /threads/{thread_id}/stream": [
        Case(refused=_silent, headers={"last-event-id": "-"}, seconds=SILENT, shown=True),
    ],
    "POST /threads/{thread_id}/commands": [
        _command("agent.getTree"),
        _command("input.respond", interrupt_id="{interrupt_id}", response="yes"),
        _command("run.start", assistant_id="work", input={}),
        _command("run.start", assistant_id="{assistant_id}", input={}),
    ],
    "POST /threads/{thread_id}/stream/events": [
        Case({"channels": ["values"]}, refused=_silent, seconds=SILENT, shown=True)
    ],
    "POST /threads/{thread_id}/runs": RUNS,
    "GET /threads/{thread_id}/runs": [READ],
    "POST /threads/{thread_id}/runs/stream": RUNS,
    "POST /threads/{thread_id}/runs/wait": RUNS,
    "GET /threads/{thread_id}/runs/{run_id}": [READ],
    "DELETE /threads/{thread_id}/runs/{run_id}": [Case()],
    "POST /threads/{pending_thread}/runs/{pending_run}/cancel": [
        Case(query="action=rollback", control=False),
        Case(query="wait=true", control=False),
        Case(),
    ],
    "GET /threads/{thread_id}/runs/{run_id}/join": [Case(refused=_says(ONE_RUN), shown=True)],
    "GET /threads/{thread_id}/runs/{run_id}/stream": [
        Case(refused=_says(ONE_RUN), headers={"last-event-id": "-1"}, shown=True)
    ],
    "POST /runs": [Case(HERS)],
    "POST /runs/stream": [Case(HERS)],
    "POST /runs/wait": [Case(HERS)],
    "POST /runs/batch": [Case([HERS])],
    "POST /runs/cancel": [
        Case({"thread_id": "{other_thread}", "run_ids": ["{other_run}"]}),
        Case({"status": "all"}, control=False),
    ],
    "GET /runs/{run_id}/stream": [
        Case(refused=_says(ONE_RUN), headers={"last-event-id": "-1"}, shown=True)
    ],
    "POST /runs/crons": [Case({**CRON, "assistant_id": "{assistant_id}"})],
    "POST /threads/{thread_id}/runs/crons": [Case({**CRON, "assistant_id": "work"})],
    "POST /runs/crons/search": [
        Case(ABOUT, refused=_is_exactly([]), shown=True),
        Case({"assistant_id": "{assistant_id}"}, refused=_is_exactly([]), shown=True),
        Case({"limit": 1000}, refused=_is(200), shown=True),
    ],
    "POST /runs/crons/count": [Case(ABOUT, refused=_is_exactly(0))],
    "GET /runs/crons/{cron_id}": [READ],
    "PATCH /runs/crons/{cron_id}": [Case({"enabled": False}, shown=True)],
    "DELETE /runs/crons/{cron_id}": [Case()],
    "GET /webhooks": [Case(query="run_id={run_id}", refused=_is_exactly([]), shown=True)],
    "GET /threads/{thread_id}/runs/{run_id}/webhooks": [READ],
    "POST /threads/{thread_id}/runs/{run_id}/webhooks/replay": [Case()],
    "GET /store/items": [Case(query="namespace={mark}&key=k", refused=_is(200), shown=True)],
    "POST /store/items/search": [
        Case({"namespace_prefix": []}, refused=_is(200), shown=True),
        Case({"namespace_prefix": ["{tenant}", "{mark}"]}, refused=_is(200), control=False),
    ],
    "POST /store/namespaces": [Case({}, refused=_is(200), shown=True)],
    "PUT /store/items": [
        Case({**PLACE, "value": {"is": "theirs"}}, refused=_is(204), control=False)
    ],
    "DELETE /store/items": [Case(PLACE, refused=_is(204), control=False)],
    "POST /mcp": [
        Case(_rpc("tools/list", {}), refused=_says("tools"), shown=True),
        Case(
            _rpc("tools/call", {"name": "{tool}", "arguments": {"messages": "hello"}}),
            refused=_rpc_refused,
        ),
    ],
    "POST /a2a/{agent}": [
        Case(_rpc("message/send", _said(contextId="{context}")), refused=_rpc_refused),
        Case(_rpc("message/send", _said(taskId="{task}")), refused=_rpc_refused, control=False),
        Case(_rpc("message/stream", _said(contextId="{context}")), refused=_says('"error"')),
        Case(_rpc("tasks/get", {"id": "{task}"}), refused=_rpc_refused, shown=True),
        Case(_rpc("GetTask", {"id": "{task}"}), refused=_rpc_refused, shown=True),
        Case(_rpc("CancelTask", {"id": "{task}"}), refused=_rpc_refused, control=False),
        Case(_rpc("ListTasks", {"contextId": "{context}"}), refused=_is(200), shown=True),
        Case(_rpc("ListTasks", {}), refused=_is(200), shown=True),
    ],
    "GET /a2a/{assistant_id}": [Case(refused=_is(400), shown=True)],
    "GET /a2a/{assistant_id}/.well-known/agent-card.json": [Case(refused=_is(400), shown=True)],
    "GET /.well-known/agent-card.json": [
        Case(query="assistant_id={assistant_id}", refused=_is(400), shown=True)
    ],
}
"""By operation; the places that a path has are named after what is put there."""

RENAMED = {
    "POST /threads/{pending_thread}/runs/{pending_run}/cancel": (
        "POST /threads/{thread_id}/runs/{run_id}/cancel"
    ),
    "POST /a2a/{agent}": "POST /a2a/{assistant_id}",
}

PUBLIC = [
    "POST /assistants",
    "PATCH /assistants/{assistant_id}",
    "DELETE /assistants/{assistant_id}",
    "POST /assistants/{assistant_id}/latest",
    "POST /threads/search",
    "POST /threads/count",
    "POST /threads/{thread_id}/state",
    "PATCH /threads/{thread_id}/state",
    *(name for name in CASES if "crons" in name or "/store/" in name),
    "GET /webhooks",
]
"""What a public key may not ask for, whatever it knows."""


def _owners() -> Auth:
    """Whoever says a name has what it made; `name@tenant` is of that tenant."""
    auth = Auth()

    @auth.authenticate
    async def who(authorization: str) -> Any:
        name, _, tenant = authorization.removeprefix("Bearer ").partition("@")
        return {"identity": name, "tenant": tenant or "default"}

    @auth.on
    async def owned(ctx: Auth.types.AuthContext, value: Any) -> Any:
        if ctx.resource == "store":
            value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))
            return None
        value["metadata"] = {**(value.get("metadata") or {}), "owner": ctx.user.identity}
        return {"owner": ctx.user.identity}

    return auth


@pytest.fixture(scope="module")
async def served_settings(served_settings: Settings, postgres_dsn: str) -> Settings:
    """On a database of its own: where a key was made, nobody comes in without one any more."""
    async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as admin:
        await admin.execute("create database strangers template frontdesk")
    url = postgres_dsn.replace("/postgres?", "/strangers?")
    return served_settings.model_copy(update={"database_url": url})


@pytest.fixture(scope="module")
async def served(served_settings: Settings) -> AsyncIterator[Served]:
    changes = {
        "api_keys": SecretStr(KEYS),
        "rate_limit": 1_000_000,
        "webhook_private": True,
        "max_lag_seconds": 60.0,
    }
    settings = served_settings.model_copy(update=changes)
    door = Door(settings, Handlers(_owners()))
    async with (
        serving(create_app(settings, sample_graphs)) as keyed,
        serving(create_app(settings, sample_graphs, door=door)) as handled,
        open_pool(settings.database_url or "", size=1) as pool,
        httpx.AsyncClient(timeout=30) as http,
    ):
        keys = ApiKeys(pool)
        made = [
            await keys.create(name, tenant="ours", kind="user", scopes=SCOPES)
            for name in ("ann", "bob")
        ]
        ann, bob = ({"x-api-key": secret} for _, secret in made)
        async with asyncio.timeout(20):  # until the server reads its keys again
            while (await http.get(f"{keyed}/mcp", headers=bob)).status_code == 401:
                await asyncio.sleep(0.1)
        yield Served(http, keyed, handled, ann, bob)
        for key, _ in made:
            await keys.revoke(key.key_id)


async def _made(
    http: httpx.AsyncClient, url: str, owner: Headers, *, edits: bool = True, agent: str = ""
) -> World:
    """Objects of every kind, each marked."""
    mark, tool = f"mark{uuid4().hex}", f"tool{uuid4().hex}"

    async def ask(method: str, path: str, /, **body: Any) -> Any:
        response = await http.request(method, url + path, json=body or None, headers=owner)
        assert response.is_success, (path, response.text)
        return response.json() if response.content else None

    about = {"metadata": {"mark": mark}}
    assistant = await ask(
        "POST", "/assistants", graph_id="chat", name=tool, description=mark, **about
    )
    agent = agent or assistant["assistant_id"]
    thread = (await ask("POST", "/threads", **about))["thread_id"]
    asked = {"assistant_id": "approval", "input": {"topic": mark}, "stream_resumable": True}
    webhook = f"http://127.0.0.1:9/{mark}"
    await ask("POST", f"/threads/{thread}/runs/wait", **asked, webhook=webhook)
    [run] = await ask("GET", f"/threads/{thread}/runs")
    state = await ask("GET", f"/threads/{thread}/state")
    waiting = [await ask("POST", "/threads", **about) for _ in range(2)]
    pending = [await ask("POST", f"/threads/{one['thread_id']}/runs", **LATER) for one in waiting]
    about |= {"assistant_id": assistant["assistant_id"]}
    cron = await ask("POST", "/runs/crons", **CRON, **about)
    said = _said()
    said["message"]["parts"][0]["text"] = mark
    task = (await ask("POST", f"/a2a/{agent}", **_rpc("message/send", said)))["result"]
    value = {"is": f"{mark}-value"}
    await ask("PUT", "/store/items", namespace=[mark], key="k", value=value)
    ids = {
        "mark": mark,
        "tool": tool,
        "assistant_id": assistant["assistant_id"],
        "agent": agent,
        "thread_id": thread,
        "run_id": run["run_id"],
        "checkpoint_id": state["checkpoint"]["checkpoint_id"],
        "interrupt_id": state["interrupts"][0]["id"],
        "pending_thread": pending[0]["thread_id"],
        "pending_run": pending[0]["run_id"],
        "other_thread": pending[1]["thread_id"],
        "other_run": pending[1]["run_id"],
        "cron_id": cron["cron_id"],
        "task": task["id"],
        "context": task["contextId"],
        "namespace": "none",
        "tenant": "ours",
    }
    return World(http, url, owner, edits, mark, ids)


async def _asked(
    world: World, headers: Headers, name: str, case: Case, *, patience: float = 0
) -> tuple[int, str]:
    """The status, and the headers and the text of the answer, as far as it comes in time."""
    method, path = (_filled(name, world)).split(" ", 1)
    if case.query:
        path = f"{path}?{_filled(case.query, world)}"
    body = None if case.body is None else json.loads(_filled(json.dumps(case.body), world))
    sent = {"accept": "application/json, text/event-stream", **headers, **case.headers}
    text = ""
    request = world.http.build_request(method, world.url + path, json=body, headers=sent)
    response = await world.http.send(request, stream=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(max(case.seconds, patience) or 30):
            async for piece in response.aiter_text():
                text += piece
                if case.seconds and world.mark in text:
                    break
    await response.aclose()
    if world.mark in str(response.headers):
        text += world.mark
    return response.status_code, text


def _filled(text: str, world: World) -> str:
    for name, value in world.ids.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def _seen(world: World) -> list[str]:
    """All that the owner sees of what it has."""
    paths = [
        "GET /threads/{thread_id}",
        "GET /threads/{thread_id}/state",
        "GET /threads/{thread_id}/history",
        "GET /threads/{thread_id}/runs",
        "GET /threads/{pending_thread}",
        "GET /threads/{pending_thread}/runs/{pending_run}",
        "GET /threads/{other_thread}/runs/{other_run}",
        "GET /threads/{context}",
        "GET /threads/{context}/runs",
        "GET /assistants/{assistant_id}",
        "GET /assistants/{agent}",
        "GET /runs/crons/{cron_id}",
        "GET /store/items?namespace={mark}&key=k",
    ]
    answers = [await _asked(world, world.owner, path, Case()) for path in paths]
    assert {status for status, _ in answers} == {200}
    searched = [
        await _asked(world, world.owner, f"POST /{kind}/count", Case(ABOUT))
        for kind in ("threads", "runs/crons", "assistants")
    ]
    return [text for _, text in (*answers, *searched)]


async def _refused(world: World, stranger: Headers, *, public: bool = False) -> list[str]:
    """What a stranger saw or was not refused."""
    wrong: list[str] = []
    for name, cases in CASES.items():
        for case in cases:
            status, text = await _asked(world, stranger, name, case)
            hidden = case.refused(status, text) or (public and status == 403)
            hidden = hidden or (case.edits and status == 403)
            if not hidden or world.mark in text:
                wrong.append(f"{name} {case.query} {case.body}: {status} {text[:300]}")
    return wrong


async def _allowed(world: World) -> list[str]:
    """What the owner was refused, or did not see: first what changes nothing, deletions last."""
    wrong: list[str] = []
    every = [(name, case) for name, cases in CASES.items() for case in cases if case.control]
    for name, case in sorted(every, key=lambda one: _turn(*one)):
        if world.edits or not case.edits:
            status, text = await _asked(world, world.owner, name, case, patience=20)
            async with asyncio.timeout(30):
                while status == 409 and not name.endswith("/replay"):  # runs of the cases before
                    await asyncio.sleep(0.05)
                    status, text = await _asked(world, world.owner, name, case)
            done = status < 300 or (status == 409 and name.endswith("/replay"))
            if not done or (world.mark not in text if case.shown else case.refused(status, text)):
                wrong.append(f"{name} {case.query} {case.body}: {status} {text[:300]}")
    return wrong


def _turn(name: str, case: Case) -> int:
    if name.startswith("DELETE"):
        return 4 if "{run_id}" in name else 5
    if case.edits:
        return 2
    if isinstance(case.body, dict) and case.body.get("method") == "input.respond":
        return 1
    return 3 if name.startswith("POST") and name.endswith(_STARTING) else 0


_STARTING = ("/commands", "/runs", "/runs/wait", "/runs/stream", "/cancel", "/runs/crons")


async def _heard(world: World, headers: Headers, seconds: float) -> tuple[list[Json], str]:
    """The replies to the commands of a WebSocket, and all that it said in time."""
    url = f"{world.url.replace('http', 'ws')}/threads/{world.ids['thread_id']}/stream/events"
    commands: list[Json] = [
        {"id": 1, "method": "agent.getTree"},
        {"id": 2, "method": "run.start", "params": {"assistant_id": "work"}},
        {"id": 3, "method": "subscription.subscribe", "params": {"channels": ["values"]}},
    ]
    if headers is world.owner:
        del commands[1]
    said: list[str] = []
    with suppress(TimeoutError):
        async with connect(url, additional_headers=headers) as socket, asyncio.timeout(seconds):
            for command in commands:
                await socket.send(_filled(json.dumps(command), world))
            while world.mark not in "".join(said):
                said.append(str(await socket.recv()))
    replies = [one for text in said if "type" in (one := json.loads(text)) and "id" in one]
    return replies, "".join(said)


def test_every_operation_and_socket_has_its_case(served_settings: Settings) -> None:
    app = create_app(served_settings, sample_graphs)
    operations = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    assert operations == {RENAMED.get(name, name) for name in CASES} | NAMES_NOTHING
    sockets = {route.path for route in app.routes if isinstance(route, WebSocketRoute)}
    assert sockets <= {"/threads/{thread_id}/stream/events"}


@pytest.mark.parametrize("who", ["another tenant", "its widget", "another person", "filtered"])
async def test_strangers_find_nothing_and_change_nothing(served: Served, who: str) -> None:
    chat = str(system_assistant_id("chat"))
    stranger = {
        "another tenant": {"x-api-key": "theirs-secret"},
        "its widget": {"x-api-key": "tag"},
        "another person": served.bob,
        "filtered": {"authorization": "Bearer bob"},
    }[who]
    match who:
        case "filtered":
            world = await _made(served.http, served.handled, {"authorization": "Bearer ann"})
        case "another person":
            world = await _made(served.http, served.keyed, served.ann, edits=False, agent=chat)
        case _:
            world = await _made(served.http, served.keyed, {"x-api-key": "ours-secret"}, agent=chat)
    before = await _seen(world)
    assert not "\n".join(await _refused(world, stranger, public=who == "its widget"))
    replies, said = await _heard(world, stranger, SILENT)
    assert [one["type"] for one in replies[:2]] == ["error", "error"]
    assert world.mark not in said
    assert await _seen(world) == before
    _, told = await _heard(world, world.owner, 20)
    assert world.mark in told
    assert not "\n".join(await _allowed(world))


async def test_a_public_key_does_not_list_edit_or_schedule(served: Served) -> None:
    widget = {"x-api-key": "widget"}
    chat = str(system_assistant_id("chat"))
    world = await _made(served.http, served.keyed, {"x-api-key": "ours-secret"}, agent=chat)
    before = await _seen(world)
    status, text = await _asked(world, widget, "GET /threads/{thread_id}", Case())
    assert (status, world.mark in text) == (200, True)  # whose id it knows
    step = {"updates": [{"values": {}, "as_node": "ask_human"}]}
    more = {
        "POST /threads": Case({"supersteps": [step]}),
        "POST /runs/cancel": Case({"status": "all"}),
        "POST /threads/{thread_id}/runs": Case({**WORK, "command": {"goto": "prep"}}),
        "POST /runs/wait": Case({"assistant_id": "work", "command": {"update": {"steps": ["x"]}}}),
        "POST /a2a/{agent}": Case(_rpc("ListTasks", {})),
    }
    asked = [(name, case) for name in PUBLIC for case in CASES[name]] + list(more.items())
    answers = [await _asked(world, widget, name, case) for name, case in asked]
    assert [
        (name, status)
        for (name, _), (status, text) in zip(asked, answers, strict=True)
        if status != 403 or world.mark in text
    ] == []
    forged = _command(
        "input.respond", interrupt_id="{interrupt_id}", response="x", update={"log": ["x"]}
    )
    _, text = await _asked(world, widget, "POST /threads/{thread_id}/commands", forged)
    assert json.loads(text)["error"] == "permission_denied"
    assert await _seen(world) == before


async def test_a_socket_takes_no_commands_from_a_key_that_was_revoked(
    served: Served, served_settings: Settings
) -> None:
    tree = {"id": 1, "method": "agent.getTree"}
    async with open_pool(served_settings.database_url or "", size=1) as pool:
        keys = ApiKeys(pool)
        key, secret = await keys.create("soon gone", tenant="ours")
        headers = {"x-api-key": secret}
        async with asyncio.timeout(30):
            while (
                await served.http.get(f"{served.keyed}/mcp", headers=headers)
            ).status_code == 401:
                await asyncio.sleep(0.1)
            url = f"{served.keyed.replace('http', 'ws')}/threads/{uuid4()}/stream/events"
            said: list[str] = []

            async def ask_for_ever(socket: ClientConnection) -> None:
                while True:
                    await socket.send(json.dumps(tree))
                    said.append(json.loads(await socket.recv())["message"])
                    if len(said) == 1:
                        await keys.revoke(key.key_id)
                    await asyncio.sleep(0.1)

            async with connect(url, additional_headers=headers) as socket:
                with pytest.raises(ConnectionClosedError) as closed:
                    await ask_for_ever(socket)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 1008
    allowed = [one for one in said if not one.startswith("401: ")]
    assert set(allowed) == {"No active run is bound to this thread."}
    assert said[: len(allowed)] == allowed


async def test_the_same_key_of_a_namesake_in_another_tenant_is_another_request(
    served: Served,
) -> None:
    body = {**LATER, "metadata": {"x": 1}}
    runs = []
    for name in ("cleo@red", "cleo@red", "cleo@blue"):
        sent = {"authorization": f"Bearer {name}", "idempotency-key": "same"}
        made = await served.http.post(f"{served.handled}/runs", json=body, headers=sent)
        runs.append(made.json()["run_id"])
    for name in ("cleo@red", "cleo@blue"):
        sent = {"authorization": f"Bearer {name}"}
        stop = {"status": "all"}
        await served.http.post(f"{served.handled}/runs/cancel", json=stop, headers=sent)
    assert runs[0] == runs[1] != runs[2]
