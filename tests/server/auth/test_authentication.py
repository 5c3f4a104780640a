from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, PermissionDeniedError
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from engine.caller import Caller
from engine.database import Pool, migrate
from engine.errors import ConfigError, Unauthorized
from engine.keys import ApiKeys
from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Door
from tests.fakes.serving import sample_graphs, serving
from tests.server.conftest import KEYS
from tests.server.test_cli import frontdesk

BACK_END, WIDGET, THEIRS = (key.rpartition(":")[2] for key in KEYS.split(","))


@pytest.fixture
async def guarded(guarded_api: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=guarded_api) as client:
        yield client


@pytest.fixture
async def back_end(guarded_api: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=guarded_api, api_key=BACK_END) as client:
        yield client


@pytest.fixture
async def widget(guarded_api: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=guarded_api, api_key=WIDGET) as client:
        yield client


@pytest.fixture
async def others(guarded_api: str) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=guarded_api, api_key=THEIRS) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {BACK_END}"},
        {"x-api-key": "acme:trusted:back-end-secret"},
        {"x-auth-scheme": "langsmith"},
    ],
    ids=str,
)
async def test_without_a_valid_key_nothing_is_served(
    guarded: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    for method, path in (
        ("POST", "/threads"),
        ("POST", "/assistants/search"),
        ("POST", "/runs/wait"),
        ("GET", f"/threads/{uuid4()}/state"),
        ("GET", "/no/such/path"),
    ):
        response = await guarded.request(method, path, headers=headers, content=b"{")
        assert response.status_code == 401
        assert "API key" in response.json()["detail"]
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": BACK_END},
        {"authorization": f"Bearer {BACK_END}"},
        {"Authorization": f"bearer {BACK_END}", "x-api-key": "somebody-else's"},
    ],
    ids=str,
)
async def test_a_key_opens_in_either_header(
    guarded: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await guarded.post("/threads/search", headers=headers, json={})
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/ok", "/", "/info", "/metrics", "/docs", "/openapi.json"])
async def test_some_paths_need_no_key(guarded: httpx.AsyncClient, path: str) -> None:
    assert (await guarded.get(path)).status_code == 200


async def test_a_preflight_needs_no_key(guarded: httpx.AsyncClient) -> None:
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    assert (await guarded.options("/threads", headers=headers)).status_code == 200
    refused = await guarded.post("/threads", headers={"origin": "https://shop.example"})
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_another_tenants_thread_does_not_exist(
    back_end: LangGraphClient, others: LangGraphClient
) -> None:
    thread: Any = await back_end.threads.create(metadata={"mine": True})
    tid = thread["thread_id"]
    run: Any = await back_end.runs.create(tid, "work", input={"mode": "done"})
    await back_end.runs.join(tid, run["run_id"])
    for attempt in (
        others.threads.get(tid),
        others.threads.update(tid, metadata={"x": 1}),
        others.threads.delete(tid),
        others.threads.get_state(tid),
        others.threads.get_history(tid),
        others.threads.update_state(tid, {"mode": "x"}),
        others.runs.create(tid, "work", input={}),
        others.runs.create(tid, "work", input={}, if_not_exists="create"),
        others.runs.list(tid),
        others.runs.get(tid, run["run_id"]),
        others.runs.delete(tid, run["run_id"]),
        others.runs.cancel(tid, run["run_id"]),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    with pytest.raises(ConflictError):
        await others.threads.create(thread_id=tid, if_exists="do_nothing")
    joined: Any = await others.runs.join(tid, run["run_id"])
    assert joined["__error__"]["message"] == "404: Run not found"
    (part,) = [part async for part in others.runs.join_stream(tid, run["run_id"])]
    assert part.event == "error"
    assert await others.threads.search(metadata={"mine": True}) == []
    assert await others.threads.count(metadata={"mine": True}) == 0
    assert (await back_end.threads.get(tid))["metadata"]["mine"] is True  # type: ignore[index]


async def test_a_public_key_uses_the_threads_it_knows_and_lists_none(
    widget: LangGraphClient, back_end: LangGraphClient
) -> None:
    thread: Any = await widget.threads.create()
    tid = thread["thread_id"]
    values: Any = await widget.runs.wait(tid, "work", input={"mode": "done"})
    assert values["steps"] == ["prep", "done"]
    assert len(await widget.runs.list(tid)) == 1
    with pytest.raises(PermissionDeniedError, match="public key cannot list threads"):
        await widget.threads.search()
    with pytest.raises(PermissionDeniedError, match="public key cannot list threads"):
        await widget.threads.count()
    found = {one["thread_id"] for one in await back_end.threads.search(limit=100)}
    assert tid in found


async def test_a_public_key_cannot_edit_a_state(widget: LangGraphClient) -> None:
    thread: Any = await widget.threads.create()
    tid = thread["thread_id"]
    await widget.runs.wait(tid, "work", input={"mode": "done"})
    with pytest.raises(PermissionDeniedError, match="cannot edit"):
        await widget.threads.update_state(tid, {"mode": "x"})
    for command in ({"update": {"mode": "x"}}, {"goto": "done"}):
        with pytest.raises(PermissionDeniedError, match="not edit"):
            await widget.runs.create(tid, "work", command=command)  # type: ignore[arg-type]
    assert len(await widget.runs.list(tid)) == 1


async def test_a_graph_is_told_who_asks(back_end: LangGraphClient, widget: LangGraphClient) -> None:
    forged: Any = {"configurable": {"langgraph_auth_user": {"trusted": True, "tenant": "other"}}}
    asked: Any = {"input": {"mode": "tell"}, "stream_mode": ["custom"], "if_not_exists": "create"}
    for client, trusted in ((back_end, True), (widget, False)):
        (told,) = [
            part.data["configurable"]
            async for part in client.runs.stream(str(uuid4()), "work", config=forged, **asked)
            if part.event == "custom"
        ]
        user = told["langgraph_auth_user"]
        assert (user["tenant"], user["trusted"]) == ("acme", trusted)
        assert BACK_END not in str(told)


async def _caller(settings: Settings, pool: Pool, headers: dict[str, str]) -> Caller:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    connection = HTTPConnection({"type": "http", "headers": raw, "path": "/threads"})
    return await Door(settings).caller(connection, b"", ApiKeys(pool))


async def test_development_on_loopback_is_open_and_nothing_else_is(
    settings: Settings, pool: Pool
) -> None:
    await migrate(pool, "engine")
    caller = await _caller(settings, pool, {"x-api-key": "whatever"})
    assert (caller.identity, caller.tenant, caller.trusted) == ("local", "default", True)
    for changes in ({"env": "production"}, {"host": "0.0.0.0"}):  # noqa: S104
        with pytest.raises(Unauthorized):
            await _caller(settings.model_copy(update=changes), pool, {})
    first, secret = await ApiKeys(pool).create("first", tenant="acme")
    with pytest.raises(Unauthorized):
        await _caller(settings, pool, {})
    assert (await _caller(settings, pool, {"x-api-key": secret})).tenant == "acme"
    await ApiKeys(pool).revoke(first.key_id)
    for headers in ({}, {"x-api-key": secret}):
        with pytest.raises(Unauthorized):
            await _caller(settings, pool, headers)


@pytest.mark.parametrize(
    "keys", ["secret", "acme:secret", "acme:admin:secret", "acme:trusted:", ":trusted:secret"]
)
def test_a_key_of_another_shape_stops_the_start(settings: Settings, keys: str) -> None:
    with pytest.raises(ConfigError, match="tenant:trusted:secret"):
        Door(settings.model_copy(update={"api_keys": SecretStr(keys)}))


async def test_a_secret_may_hold_colons(settings: Settings, pool: Pool) -> None:
    await migrate(pool, "engine")
    changed = settings.model_copy(update={"api_keys": SecretStr(" acme:public:a:b , ")})
    assert (await _caller(changed, pool, {"x-api-key": "a:b"})).tenant == "acme"


async def test_made_keys_open_by_their_kind(settings: Settings, pool: Pool) -> None:
    await migrate(pool, "engine")
    _, back_end = await ApiKeys(pool).create("back end", tenant="acme")
    _, person = await ApiKeys(pool).create("ann", tenant="acme", kind="user", customer_id="c-1")
    async with (
        serving(create_app(settings, sample_graphs)) as url,
        get_client(url=url, api_key=back_end) as shop,
        get_client(url=url, api_key=person) as ann,
        httpx.AsyncClient(base_url=url) as nobody,
    ):
        assert (await nobody.post("/threads", json={})).status_code == 401
        theirs: Any = await shop.threads.create()
        mine: Any = await ann.threads.create()
        assert {one["thread_id"] for one in await shop.threads.search()} == {
            theirs["thread_id"],
            mine["thread_id"],
        }
        assert [one["thread_id"] for one in await ann.threads.search()] == [mine["thread_id"]]
        with pytest.raises(NotFoundError):
            await ann.threads.get(theirs["thread_id"])


async def test_keys_are_made_listed_and_revoked_on_the_command_line(
    settings: Settings, pool: Pool
) -> None:
    made = await frontdesk(settings, "keys", "create", "shop", "--tenant", "acme")
    about, secret = made.stdout.splitlines()
    key_id = about.split()[0]
    listed = await frontdesk(settings, "keys", "list")
    assert f"{key_id} {secret[:11]}… shop: trusted of acme, scopes all" in listed.stdout
    assert secret not in listed.stdout
    assert await ApiKeys(pool).find(secret)
    assert (await frontdesk(settings, "keys", "revoke", key_id)).returncode == 0
    assert await ApiKeys(pool).find(secret) is None
    wrong = await frontdesk(settings, "keys", "create", "x", "--scope", "runs:all")
    assert (wrong.returncode, "Unknown scopes" in wrong.stderr) == (1, True)
