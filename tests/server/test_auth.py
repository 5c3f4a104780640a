from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, PermissionDeniedError
from pydantic import SecretStr

from engine.errors import ConfigError, Unauthorized
from engine.settings import Settings
from server.auth import Keys
from tests.server.conftest import KEYS

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


def test_development_on_loopback_is_open_and_production_is_not(settings: Settings) -> None:
    nothing: Any = httpx.Headers()
    caller = Keys(settings).caller(nothing)
    assert (caller.identity, caller.tenant, caller.trusted) == ("local", "default", True)
    with pytest.raises(Unauthorized):
        Keys(settings.model_copy(update={"env": "production"})).caller(nothing)


@pytest.mark.parametrize(
    "keys", ["secret", "acme:secret", "acme:admin:secret", "acme:trusted:", ":trusted:secret"]
)
def test_a_key_of_another_shape_stops_the_start(settings: Settings, keys: str) -> None:
    with pytest.raises(ConfigError, match="tenant:trusted:secret"):
        Keys(settings.model_copy(update={"api_keys": SecretStr(keys)}))


def test_a_secret_may_hold_colons(settings: Settings) -> None:
    keys = Keys(settings.model_copy(update={"api_keys": SecretStr(" acme:public:a:b , ")}))
    headers: Any = httpx.Headers({"x-api-key": "a:b"})
    assert keys.caller(headers).tenant == "acme"
