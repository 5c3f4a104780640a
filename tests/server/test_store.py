import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_hex
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import BadRequestError, PermissionDeniedError

from engine.project.manifest import read_project
from engine.settings import Settings
from server.app import create_app
from server.auth.authentication import Door
from server.auth.handlers import Handlers
from server.hosting.hosted import Hosted
from tests.fakes.encoder import WordEncoder
from tests.fakes.owners import owners
from tests.fakes.serving import sample_graphs, serving


@pytest.fixture
def ns() -> str:
    """The root of namespaces that only this test uses."""
    return str(uuid4())


async def keys(client: LangGraphClient, *prefix: str, **options: Any) -> list[str]:
    found = await client.store.search_items(prefix, **options)
    return [item["key"] for item in found["items"]]


async def test_an_item_is_read_as_it_was_put(
    raw: httpx.AsyncClient, client: LangGraphClient, ns: str
) -> None:
    body = {"namespace": [ns, "a"], "key": "k", "value": {"x": 1}}
    put = await raw.put("/store/items", json=body)
    assert (put.status_code, put.content) == (204, b"")
    item: Any = await client.store.get_item([ns, "a"], "k")
    assert list(item) == ["namespace", "key", "value", "created_at", "updated_at"]
    assert {name: item[name] for name in body} == body
    await client.store.put_item([ns, "a"], "k", {"x": 2}, index=False)
    again: Any = await client.store.get_item([ns, "a"], "k")
    assert again["value"] == {"x": 2}
    assert again["created_at"] == item["created_at"] < again["updated_at"]
    await client.store.put_item([ns, "a"], "", {"x": 3})
    assert (await client.store.get_item([ns, "a"], ""))["value"] == {"x": 3}


async def test_a_missing_item_is_null_and_can_be_deleted(
    raw: httpx.AsyncClient, client: LangGraphClient, ns: str
) -> None:
    assert await client.store.get_item([ns], "x") is None
    answer = await raw.get("/store/items", params={"namespace": ns, "key": "x"})
    assert (answer.status_code, answer.content) == (200, b"null")
    await client.store.put_item([ns], "x", {})
    for _ in range(2):
        body = {"namespace": [ns], "key": "x"}
        deleted = await raw.request("DELETE", "/store/items", json=body)
        assert deleted.status_code == 204
    assert await client.store.get_item([ns], "x") is None
    assert (await raw.request("DELETE", "/store/items")).status_code == 422


async def test_what_cannot_be_kept_is_refused(raw: httpx.AsyncClient, ns: str) -> None:
    def put(**body: Any) -> Any:
        item = {"namespace": [ns], "key": "k", "value": {}, **body}
        return raw.put("/store/items", json=item)

    no_key = await raw.get("/store/items", params={"namespace": ns})
    assert (no_key.status_code, no_key.json()) == (400, {"error": "Key is required"})
    empty = await put(namespace=[])
    assert (empty.status_code, empty.json()) == (400, {"detail": "Namespace cannot be empty."})
    reserved = await put(namespace=["langgraph", "x"])
    assert (reserved.status_code, reserved.json()["detail"]) == (
        400,
        "Root label for namespace cannot be \"langgraph\". Got: ('langgraph', 'x')",
    )
    for label in ("a.b", ""):
        bodies = {"namespace": [ns, label], "namespace_prefix": [label], "prefix": [label]}
        answers = [
            await put(namespace=[ns, label]),
            await raw.request("DELETE", "/store/items", json={"key": "k", **bodies}),
            await raw.post("/store/items/search", json=bodies),
            await raw.post("/store/namespaces", json=bodies),
        ]
        for answer in answers:
            assert answer.status_code == 422
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.text == (
                f"Namespace label '{label}' must be a non-empty string without periods"
            )
    for joined in (f"{ns}..b", ""):
        asked = {"namespace": joined, "key": "k"}
        assert (await raw.get("/store/items", params=asked)).status_code == 422
    wrong: list[dict[str, Any]] = [{"value": [1]}, {"value": None}, {"ttl": 0}, {"index": True}]
    assert [(await put(**body)).status_code for body in wrong] == [422] * 4
    assert (await put(key=token_hex(9_000))).status_code == 422
    assert (await put(ttl=1e300)).status_code == 422


async def test_the_last_of_several_namespaces_counts(
    raw: httpx.AsyncClient, client: LangGraphClient, ns: str
) -> None:
    await client.store.put_item([ns, "b"], "k", {"n": 1})
    answer = await raw.get(f"/store/items?namespace={ns}.a&namespace={ns}.b&key=k")
    assert answer.json()["namespace"] == [ns, "b"]


async def test_items_are_searched_by_what_they_hold(
    raw: httpx.AsyncClient, client: LangGraphClient, ns: str
) -> None:
    for n in range(12):
        await client.store.put_item([ns, "n"], f"k{n}", {"n": n, "odd": bool(n % 2)})
    await client.store.put_item([f"{ns}2"], "other", {"n": 1})
    assert len(await keys(client, ns)) == 10
    assert len(await keys(client, ns, limit=0)) == 10
    assert len(await keys(client, ns, limit=12)) == 12
    assert await keys(client, ns, limit=12, offset=10) == ["k1", "k0"]  # the newest first
    assert await keys(client, ns, filter={"n": 3}) == ["k3"]
    bounds = {"n": {"$gte": 2, "$lt": 6}, "odd": {"$ne": True}}
    assert await keys(client, ns, filter=bounds) == ["k4", "k2"]
    assert await keys(client, ns, filter={"n": {"$gt": 9}}, query="any") == ["k11", "k10"]
    found: Any = await client.store.search_items([ns], limit=1)
    assert found["items"][0]["score"] is None
    with pytest.raises(BadRequestError, match=r"Unsupported operator: \$bogus"):
        await client.store.search_items([ns], filter={"n": {"$bogus": 1}})
    everything = await raw.post("/store/items/search", json={})
    assert everything.status_code == 200
    assert len(everything.json()["items"]) == 10
    as_text = {
        "content": f'{{"namespace_prefix": ["{ns}"]}}',
        "headers": {"content-type": "text/plain"},
    }
    answer = await raw.post("/store/items/search", **as_text)  # type: ignore[arg-type]
    assert len(answer.json()["items"]) == 10


async def test_namespaces_are_listed(client: LangGraphClient, ns: str) -> None:
    for path in (["b"], ["a", "x"], ["a", "y", "x"], []):
        await client.store.put_item([ns, *path], "k", {})

    async def listed(**asked: Any) -> list[list[str]]:
        found: Any = await client.store.list_namespaces(**asked)
        return [namespace[1:] for namespace in found["namespaces"] if namespace[0] == ns]

    assert await listed(prefix=[ns]) == [[], ["a", "x"], ["a", "y", "x"], ["b"]]
    assert await listed(prefix=[ns], suffix=["x"]) == [["a", "x"], ["a", "y", "x"]]
    assert await listed(prefix=[ns], suffix=["*", "x"], limit=1) == [["a", "x"]]
    assert await listed(prefix=[ns], max_depth=2) == [[], ["a"], ["b"]]
    assert await listed(prefix=[ns], limit=2, offset=2) == [["a", "y", "x"], ["b"]]


async def test_an_item_lives_for_its_minutes_since_it_was_read(
    raw: httpx.AsyncClient, client: LangGraphClient, ns: str
) -> None:
    body: dict[str, Any] = {"namespace": [ns], "value": {}, "ttl": 1 / 60}
    await raw.put("/store/items", json={**body, "key": "short"})
    await client.store.put_item([ns], "long", {}, ttl=60)
    read = {"namespace": ns, "key": "short", "refresh_ttl": "false"}
    assert (await raw.get("/store/items", params=read)).json() is not None
    async with asyncio.timeout(30):
        while (await raw.get("/store/items", params=read)).json():
            await asyncio.sleep(0.1)
    assert await keys(client, ns) == ["long"]


async def test_a_project_with_an_index_finds_items_by_meaning(
    settings: Settings, tmp_path: Path
) -> None:
    index = {"dims": WordEncoder.dimensions, "embed": "tests.fakes.encoder:embed"}
    file = tmp_path / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"g": "./g.py:g"}, "store": {"index": index}}))
    hosted = Hosted(read_project(file))
    async with (
        serving(create_app(settings, sample_graphs, hosted=hosted)) as url,
        get_client(url=url) as client,
    ):
        for key, text in {"tea": "green tea", "car": "a red car"}.items():
            await client.store.put_item(["a"], key, {"text": text}, index=["text"])
        await client.store.put_item(["a"], "hidden", {"text": "green tea"}, index=False)
        found: Any = await client.store.search_items(["a"], query="tea that is green")
        scores = {item["key"]: item["score"] for item in found["items"]}
        assert list(scores) == ["tea", "car"]
        assert 1 >= scores["tea"] > scores["car"]
        assert await keys(client, "a", query="tea", filter={"text": "a red car"}) == ["car"]
        everything: Any = await client.store.search_items(["a"])
        assert [item["score"] for item in everything["items"]] == [None] * 3


async def test_tenants_keep_to_themselves(guarded_api: str, ns: str) -> None:
    ours = get_client(url=guarded_api, api_key="back-end-secret")
    theirs = get_client(url=guarded_api, api_key="their-secret")
    widget = get_client(url=guarded_api, api_key="widget-secret")
    async with ours, theirs, widget:
        await ours.store.put_item([ns], "k", {"of": "us"})
        assert await theirs.store.get_item([ns], "k") is None
        assert (await theirs.store.search_items([ns]))["items"] == []
        assert (await theirs.store.list_namespaces([ns]))["namespaces"] == []
        await theirs.store.delete_item([ns], "k")
        assert (await ours.store.get_item([ns], "k"))["value"] == {"of": "us"}
        for asked in (
            widget.store.get_item([ns], "k"),
            widget.store.put_item([ns], "k", {}),
            widget.store.delete_item([ns], "k"),
            widget.store.search_items([ns]),
            widget.store.list_namespaces([ns]),
        ):
            with pytest.raises(PermissionDeniedError):
                await asked


async def test_a_projects_own_handlers_say_where_items_are(
    served_settings: Settings, ns: str
) -> None:
    door = Door(served_settings, Handlers(owners()))
    async with AsyncExitStack() as stack:
        app = create_app(served_settings, sample_graphs, door=door)
        url = await stack.enter_async_context(serving(app))
        alice, bob = [
            await stack.enter_async_context(
                get_client(url=url, api_key=None, headers={"authorization": f"Bearer {name}"})
            )
            for name in (f"alice-{ns}", f"bob-{ns}")
        ]
        await alice.store.put_item([ns], "k", {"of": "alice"})
        item: Any = await alice.store.get_item([ns], "k")
        assert item["namespace"] == [f"alice-{ns}", ns]
        assert await keys(alice, ns) == await keys(alice) == ["k"]
        mine: Any = await alice.store.list_namespaces()
        assert mine == {"namespaces": [[f"alice-{ns}", ns]]}
        assert await bob.store.get_item([ns], "k") is None
        assert await keys(bob) == []
        assert await bob.store.list_namespaces() == {"namespaces": []}
        await bob.store.delete_item([ns], "k")
        await alice.store.delete_item([ns], "k")
        assert await keys(alice) == []
