"""A project's own `langgraph_sdk.Auth` decides who calls and what they reach."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import Auth, get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, PermissionDeniedError

from engine.errors import ConfigError
from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Door
from server.auth.handlers import Handlers, contained
from tests.fakes.serving import sample_graphs, serving

CHAT = "work"


def owners() -> Auth:
    """Whoever says a name is believed; everything belongs to whom made it."""
    auth = Auth()

    @auth.authenticate
    async def who(authorization: str | None, headers: dict[bytes, bytes]) -> Any:
        name = (authorization or "").removeprefix("Bearer ")
        if not name:
            raise Auth.exceptions.HTTPException(
                status_code=401, detail="who?", headers={"x-hint": "say a name"}
            )
        assert name != "mallory", "not you"
        assert headers[b"authorization"] == f"Bearer {name}".encode()
        return {"identity": name, "permissions": ["chat"], "team": "blue"}

    @auth.on
    async def owned(ctx: Auth.types.AuthContext, value: Any) -> Any:
        if ctx.resource == "store":
            value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))
            return True
        value["metadata"] = {**(value.get("metadata") or {}), "owner": ctx.user.identity}
        return {"owner": ctx.user.identity}

    @auth.on.threads.delete
    async def no_deletion(ctx: Auth.types.AuthContext, value: Any) -> bool:
        assert ctx.user["team"] == "blue"
        assert value["thread_id"]
        return ctx.user.identity == "admin"

    @auth.on.threads.create_run
    async def no_drafts(ctx: Auth.types.AuthContext, value: Any) -> Any:
        if (value.get("metadata") or {}).get("draft"):
            raise Auth.exceptions.HTTPException(status_code=403, detail="no drafts")
        return await owned(ctx, value)

    @auth.on.assistants.create
    async def only_admins(ctx: Auth.types.AuthContext, value: Any) -> None:
        assert "admin" in ctx.permissions, f"{ctx.user.identity} makes no assistants"

    return auth


def believing() -> Auth:
    """Whoever says a name is believed."""
    auth = Auth()

    @auth.authenticate
    async def who(authorization: str) -> str:
        return authorization.removeprefix("Bearer ")

    return auth


@pytest.fixture(scope="module")
async def url(served_settings: Settings) -> AsyncIterator[str]:
    door = Door(served_settings, Handlers(owners()))
    async with serving(create_app(served_settings, sample_graphs, door=door)) as url:
        yield url


def client(url: str, name: str) -> LangGraphClient:
    return get_client(url=url, api_key=None, headers={"authorization": f"Bearer {name}"})


async def test_the_authenticator_says_who_comes_in(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as raw:
        nobody = await raw.post("/threads", json={})
        assert (nobody.status_code, nobody.json()) == (401, {"detail": "who?"})
        assert nobody.headers["x-hint"] == "say a name"
        refused = await raw.post("/threads", json={}, headers={"authorization": "Bearer mallory"})
        assert (refused.status_code, refused.json()["detail"].splitlines()[0]) == (401, "not you")
        for path in ("/ok", "/info", "/openapi.json"):
            assert (await raw.get(path)).status_code == 200


async def test_what_is_anothers_does_not_exist(url: str) -> None:
    async with client(url, "alice") as alice, client(url, "bob") as bob:
        thread: Any = await alice.threads.create(metadata={"k": 1})
        tid = thread["thread_id"]
        assert thread["metadata"] == {"k": 1, "owner": "alice"}
        values: Any = await alice.runs.wait(tid, CHAT, input={"mode": "done"})
        assert values["steps"] == ["prep", "done"]
        (run,) = await alice.runs.list(tid)
        for attempt in (
            bob.threads.get(tid),
            bob.threads.get_state(tid),
            bob.threads.get_history(tid),
            bob.threads.update(tid, metadata={"x": 1}),
            bob.threads.update_state(tid, {"mode": "x"}),
            bob.runs.create(tid, CHAT, input={}),
            bob.runs.list(tid),
            bob.runs.get(tid, run["run_id"]),
        ):
            with pytest.raises(NotFoundError):
                await attempt
        with pytest.raises(ConflictError):
            await bob.threads.create(thread_id=tid, if_exists="do_nothing")
        assert await bob.threads.search(metadata={"k": 1}) == []
        assert await bob.threads.count(metadata={"k": 1}) == 0
        assert [one["thread_id"] for one in await alice.threads.search(metadata={"k": 1})] == [tid]
        assert (await alice.runs.get(tid, run["run_id"]))["metadata"]["owner"] == "alice"


async def test_a_thread_that_a_run_makes_belongs_to_its_caller(url: str) -> None:
    async with client(url, "alice") as alice, client(url, "bob") as bob:
        tid = str(uuid4())
        await alice.runs.wait(tid, CHAT, input={"mode": "done"}, if_not_exists="create")
        assert (await alice.threads.get(tid))["metadata"]["owner"] == "alice"  # type: ignore[index]
        with pytest.raises(NotFoundError):
            await bob.threads.get(tid)


async def test_a_handler_may_refuse(url: str) -> None:
    async with client(url, "alice") as alice, client(url, "admin") as admin:
        thread: Any = await alice.threads.create()
        with pytest.raises(PermissionDeniedError, match="Forbidden"):
            await alice.threads.delete(thread["thread_id"])
        assert await alice.threads.get(thread["thread_id"])
        mine: Any = await admin.threads.create()
        await admin.threads.delete(mine["thread_id"])
        with pytest.raises(PermissionDeniedError, match="alice makes no assistants"):
            await alice.assistants.create(CHAT)


@pytest.mark.parametrize("how", ["stream", "join"])
async def test_who_may_only_read_ends_no_run_by_going_away(
    served_settings: Settings, how: str
) -> None:
    auth = owners()

    @auth.on.threads.update
    async def not_for_guests(ctx: Auth.types.AuthContext, value: Any) -> None:
        assert ctx.user.identity != "guest", "guests change nothing"

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        client(url, "guest") as guest,
    ):
        thread: Any = await guest.threads.create()
        run = await guest.runs.create(thread["thread_id"], CHAT, input={"mode": "done"})
        paths = [f"/threads/{thread['thread_id']}/runs/{run['run_id']}/{how}"]
        paths += [f"/runs/{run['run_id']}/stream"] if how == "stream" else []
        for path in paths:
            with pytest.raises(PermissionDeniedError, match="guests change nothing"):
                await guest.http.get(path, params={"cancel_on_disconnect": 1})


async def test_a_handler_knows_a_run_as_it_will_be(served_settings: Settings) -> None:
    auth, seen = believing(), list[Any]()

    @auth.on.threads.create_run
    async def shorten(ctx: Auth.types.AuthContext, value: Any) -> None:
        seen.append({**value, "kwargs": {**value["kwargs"]}})
        value["kwargs"]["stream_mode"] = ["updates"]

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        client(url, "ann") as ann,
    ):
        (graphs_own,) = await ann.assistants.search(
            graph_id=CHAT, metadata={"created_by": "system"}
        )
        thread: Any = await ann.threads.create()
        run = {"input": {"mode": "done"}, "stream_mode": ["values", "debug"], "durability": "sync"}
        asked = {**run, "stream_subgraphs": True, "stream_resumable": True, "interrupt_after": "*"}
        async with httpx.AsyncClient(headers={"authorization": "Bearer ann"}) as raw:
            path = f"{url}/threads/{thread['thread_id']}/runs"
            made = await raw.post(path, json={"assistant_id": CHAT, **asked})
            unknown = await raw.post(path, json={"assistant_id": "nobody", **asked})
    assert made.json()["kwargs"]["stream_mode"] == ["updates"]
    assert unknown.status_code == 422
    (told,) = seen  # an assistant that there is not is no run to ask about
    assert str(told["assistant_id"]) == graphs_own["assistant_id"]
    assert told["kwargs"] == {
        "input": {"mode": "done"},
        "command": None,
        "config": {"configurable": {}},
        "context": None,
        "stream_mode": ["values", "debug"],
        "subgraphs": True,
        "resumable": True,
        "interrupt_before": None,
        "interrupt_after": "*",
        "temporary": False,
        "durability": "sync",
        "webhook": None,
        "feedback_keys": None,
    }


async def test_who_may_not_read_an_assistant_may_not_run_it(served_settings: Settings) -> None:
    auth = believing()

    @auth.on.assistants.create
    async def own(ctx: Auth.types.AuthContext, value: Any) -> None:
        value.setdefault("metadata", {})["owner"] = ctx.user.identity

    @auth.on.threads.create_run
    async def own_threads(ctx: Auth.types.AuthContext, value: Any) -> Any:
        value["metadata"]["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    @auth.on.assistants.read
    async def own_or_shared(ctx: Auth.types.AuthContext, value: Any) -> Any:
        assert ctx.user.identity != "guest", "no assistants for guests"
        return None if ctx.user.identity == "friend" else {"owner": ctx.user.identity}

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        client(url, "ann") as ann,
        client(url, "friend") as friend,
        client(url, "bob") as bob,
        client(url, "guest") as guest,
    ):
        made: Any = await ann.assistants.create(CHAT)
        for who in (ann, friend):
            values: Any = await who.runs.wait(None, made["assistant_id"], input={"mode": "done"})
            assert values["steps"] == ["prep", "done"]
        for attempt in (
            bob.runs.create(None, made["assistant_id"], input={}),
            bob.crons.create(made["assistant_id"], schedule="0 0 1 1 *", input={}),
        ):
            with pytest.raises(NotFoundError):
                await attempt
        with pytest.raises(PermissionDeniedError, match="no assistants for guests"):
            await guest.runs.create(None, made["assistant_id"], input={})
        assert await guest.runs.wait(
            None, CHAT, input={"mode": "done"}
        )  # a graph's own is everybody's


async def test_the_graph_is_told_what_the_authenticator_found(url: str) -> None:
    async with client(url, "alice") as alice:
        (told,) = [
            part.data["configurable"]
            async for part in alice.runs.stream(
                None, CHAT, input={"mode": "tell"}, stream_mode=["custom"]
            )
            if part.event == "custom"
        ]
    user = told["langgraph_auth_user"]
    assert (user["identity"], user["team"], user["permissions"]) == ("alice", "blue", ["chat"])
    assert told["langgraph_auth_user_id"] == "alice"
    assert told["langgraph_auth_permissions"] == ["chat"]


async def test_studio_comes_in_only_on_loopback_in_development(served_settings: Settings) -> None:
    seen: list[str] = []
    auth = owners()

    @auth.on.assistants.search
    async def who(ctx: Auth.types.AuthContext, value: Any) -> bool:
        seen.append(type(ctx.user).__name__)
        return True

    async def ask(settings: Settings, *, studio_auth: bool = True) -> int:
        door = Door(settings, Handlers(auth), studio_auth=studio_auth)
        async with (
            serving(create_app(settings, sample_graphs, door=door)) as url,
            httpx.AsyncClient(base_url=url, headers={"x-auth-scheme": "langsmith"}) as studio,
        ):
            for header in ("forwarded", "x-forwarded-for"):  # by a proxy on this machine
                far = {header: "127.0.0.1"}
                far_away = await studio.post("/assistants/search", json={}, headers=far)
                assert far_away.status_code == 401
            return (await studio.post("/assistants/search", json={})).status_code

    assert await ask(served_settings) == 200
    assert seen == ["StudioUser"]
    assert await ask(served_settings, studio_auth=False) == 401
    for changes in ({"env": "production"}, {"host": "0.0.0.0"}):  # noqa: S104
        assert await ask(served_settings.model_copy(update=changes)) == 401
    assert seen == ["StudioUser"]


async def test_a_filter_holds_for_what_is_found_in_the_store(served_settings: Settings) -> None:
    auth = believing()

    @auth.on
    async def own(ctx: Auth.types.AuthContext, value: Any) -> Any:
        return {"owner": ctx.user.identity}

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        client(url, "ann") as ann,
    ):
        for key, owner in {"a": "ann", "b": "bob", "c": "ann"}.items():
            await ann.store.put_item(("kept",), key, {"owner": owner, "colour": key})
        for wanted, asked in ((["a", "c"], None), (["c"], {"colour": "c"}), ([], {"colour": "b"})):
            found = await ann.store.search_items(("kept",), filter=asked)
            assert sorted(item["key"] for item in found["items"]) == wanted
        forged = await ann.store.search_items(("kept",), filter={"owner": "bob"})
        assert sorted(item["key"] for item in forged["items"]) == ["a", "c"]


@pytest.mark.parametrize("said", [{"metadata": {"owner": "ann"}}, "ann"])
async def test_what_is_no_filter_is_told_to_whoever_runs_the_server(
    served_settings: Settings, caplog: pytest.LogCaptureFixture, said: Any
) -> None:
    auth = believing()

    @auth.on.threads.search
    async def mistaken(ctx: Auth.types.AuthContext, value: Any) -> Any:
        return said

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer ann"}) as raw,
    ):
        answer = await raw.post("/threads/search", json={})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "The handler of threads.search returns no filter."}
    assert "the handler of threads.search returns no filter:" in caplog.text


@pytest.mark.parametrize(
    ("said", "permissions"),
    [
        ((["read", "write"], {"identity": "ann", "permissions": ["mine"]}), ["read", "write"]),
        ((["read"], "ann"), ["read"]),
        ({"identity": "ann"}, []),
        ("ann", []),
    ],
)
async def test_users_have_the_permissions_that_the_authenticator_tells(
    served_settings: Settings, said: Any, permissions: list[str]
) -> None:
    auth, seen = Auth(), list[Any]()

    @auth.authenticate
    async def who(headers: dict[Any, Any]) -> Any:
        assert headers.get("X-Key") == headers["x-key"] == "secret"
        assert headers[b"x-key"] == b"secret"
        return said

    @auth.on
    async def note(ctx: Auth.types.AuthContext, value: Any) -> None:
        seen.append((ctx.user.identity, list(ctx.permissions)))

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        get_client(url=url, api_key=None, headers={"x-key": "secret"}) as ann,
    ):
        stream = ann.runs.stream(None, CHAT, input={"mode": "tell"}, stream_mode=["custom"])
        (told,) = [part.data["configurable"] async for part in stream if part.event == "custom"]
    assert ("ann", permissions) in seen
    assert told["langgraph_auth_permissions"] == permissions
    assert told["langgraph_auth_user"]["permissions"] == permissions


async def test_an_authenticator_may_read_the_body(served_settings: Settings) -> None:
    auth = Auth()

    @auth.authenticate
    async def who(body: Any, path: str, method: str, request: Any) -> str:
        assert (path, method) == ("/threads", "POST")
        assert request.headers["x-kind"] == "test"
        return str(body["metadata"]["me"])

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        httpx.AsyncClient(base_url=url, headers={"x-kind": "test"}) as raw,
    ):
        made = await raw.post("/threads", json={"metadata": {"me": "carol"}})
        assert made.json()["metadata"] == {"me": "carol"}


def test_an_auth_without_an_authenticator_stops_the_start(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"@auth\.authenticate"):
        Door(settings, Handlers(Auth()))


def test_filters_say_what_metadata_must_contain() -> None:
    said = {
        "owner": "a",
        "team": {"$eq": "b"},
        "tags": {"$contains": "x"},
        "all": {"$contains": ["x", "y"]},
    }
    assert contained(said) == {"owner": "a", "team": "b", "tags": ["x"], "all": ["x", "y"]}
    with pytest.raises(TypeError, match=r"\$gt"):
        contained({"age": {"$gt": 3}})


async def test_handlers_find_the_fields_of_the_sdks_types_wherever_they_are_asked(
    served_settings: Settings,
) -> None:
    auth, seen = owners(), set[tuple[str, str]]()

    @auth.on.threads.update
    @auth.on.assistants.read
    @auth.on.assistants.update
    async def strict(ctx: Auth.types.AuthContext, value: Any) -> None:
        assert value["assistant_id" if ctx.resource == "assistants" else "thread_id"]
        assert value["metadata"] is not None
        seen.add((ctx.resource, ctx.action))

    door = Door(served_settings, Handlers(auth))
    async with (
        serving(create_app(served_settings, sample_graphs, door=door)) as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer ann"}) as raw,
    ):
        thread, run, nobody = uuid4(), uuid4(), uuid4()
        one = f"/threads/{thread}/runs/{run}"
        answers = [
            await raw.post(f"{one}/cancel"),
            await raw.post(f"{one}/webhooks/replay"),
            await raw.post(f"/threads/{thread}/state", json={"values": {}}),
            await raw.patch(f"/threads/{thread}", json={"metadata": {}}),
            await raw.get(f"/assistants/{nobody}"),
            await raw.post(f"/assistants/{nobody}/latest", json={"version": 1}),
            await raw.patch(f"/assistants/{nobody}", json={}),
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert (await raw.get(f"/assistants/{CHAT}/graph")).status_code == 200
    assert seen == {("threads", "update"), ("assistants", "read"), ("assistants", "update")}


async def test_a_command_is_refused_in_the_words_of_the_handler(url: str) -> None:
    params = {"assistant_id": CHAT, "input": {}, "metadata": {"draft": True}}
    body = {"id": 1, "method": "run.start", "params": params}
    headers = {"authorization": "Bearer ann"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as raw:
        reply = (await raw.post(f"/threads/{uuid4()}/commands", json=body)).json()
    assert (reply["error"], reply["message"]) == ("permission_denied", "403: no drafts")


async def test_a_thread_that_a_command_makes_is_its_callers(url: str) -> None:
    tid = str(uuid4())
    params = {"assistant_id": CHAT, "input": {"mode": "done"}}
    body = {"id": 1, "method": "run.start", "params": params}
    async with httpx.AsyncClient(base_url=url, timeout=30) as raw:

        async def told(name: str) -> str:
            headers = {"authorization": f"Bearer {name}"}
            path = f"/threads/{tid}/stream/events"
            events = {"channels": ["lifecycle"]}
            text = ""
            async with raw.stream("POST", path, json=events, headers=headers) as response:
                async for line in response.aiter_lines():
                    text += line
                    if "completed" in text or text.count("heartbeat") > 1:
                        return text
            return text

        async def commanded(name: str) -> Any:
            headers = {"authorization": f"Bearer {name}"}
            return (await raw.post(f"/threads/{tid}/commands", json=body, headers=headers)).json()

        assert (await commanded("ann"))["type"] == "success"
        assert "completed" in await told("ann")
        assert (await commanded("bob"))["message"] == "404: Thread or assistant not found."
        assert "event" not in await told("bob")
    async with client(url, "ann") as ann:
        assert (await ann.threads.get(tid))["metadata"]["owner"] == "ann"
