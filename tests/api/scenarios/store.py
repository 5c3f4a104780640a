"""The store of items by namespace and key."""

import json
from uuid import uuid4

from tests.api.api import Api
from tests.api.registry import scenario

_LABEL = "must be a non-empty string without periods"


@scenario("PUT /store/items 204")
async def put(api: Api) -> None:
    root = str(uuid4())
    body = {"namespace": [root, "b"], "key": "k1", "value": {"x": 1}, "ttl": 60, "index": False}
    assert (await api.call("PUT", "/store/items", body)).must(204) == ""
    (await api.call("PUT", "/store/items", body | {"value": {"x": 2}, "ttl": None})).must(204)
    found = (await api.call("GET", f"/store/items?namespace={root}.b&key=k1")).must(200)
    assert found["value"] == {"x": 2}
    (await api.call("PUT", "/store/items", body | {"key": ""})).must(204)


@scenario("PUT /store/items 400")
async def put_refused(api: Api) -> None:
    body = {"namespace": [], "key": "k", "value": {}}
    answer = await api.call("PUT", "/store/items", body)
    answer.must(400)
    assert answer.detail == "Namespace cannot be empty."
    answer = await api.call("PUT", "/store/items", body | {"namespace": ["langgraph", "x"]})
    answer.must(400)
    assert answer.detail.startswith('Root label for namespace cannot be "langgraph".')


@scenario("PUT /store/items 422")
async def put_bad(api: Api) -> None:
    (await api.call("PUT", "/store/items", {})).must(422)
    body = {"namespace": ["a"], "key": "k", "value": 1}
    (await api.call("PUT", "/store/items", body)).must(422)
    for label in ("a.b", ""):
        told = body | {"value": {}, "namespace": [label]}
        answer = await api.call("PUT", "/store/items", told)
        assert _LABEL in answer.must(422)


@scenario("GET /store/items 200")
async def get(api: Api) -> None:
    root = str(uuid4())
    await api.sdk.store.put_item([root, "b"], "k", {"x": [1, {"y": None}]})
    found = (await api.call("GET", f"/store/items?namespace={root}.b&key=k")).must(200)
    assert (found["namespace"], found["value"]) == ([root, "b"], {"x": [1, {"y": None}]})
    path = f"/store/items?namespace=nope&namespace={root}.b&key=k&refresh_ttl=true"
    assert (await api.call("GET", path)).must(200) == found
    assert (await api.call("GET", "/store/items?namespace=nope&key=k")).must(200) is None


@scenario("GET /store/items 400")
async def get_without_key(api: Api) -> None:
    answer = await api.call("GET", "/store/items?namespace=a")
    assert answer.must(400) == {"error": "Key is required"}


@scenario("GET /store/items 422")
async def get_bad(api: Api) -> None:
    assert _LABEL in (await api.call("GET", "/store/items?namespace=a..b&key=k")).must(422)


@scenario("DELETE /store/items 204")
async def delete(api: Api) -> None:
    root = str(uuid4())
    await api.sdk.store.put_item([root], "k", {"x": 1})
    for _ in range(2):
        body = {"namespace": [root], "key": "k"}
        (await api.call("DELETE", "/store/items", content=json.dumps(body))).must(204)
    assert await api.sdk.store.get_item([root], "k") is None


@scenario("POST /store/items/search 200")
async def search(api: Api) -> None:
    root = str(uuid4())
    for number in range(3):
        await api.sdk.store.put_item([root, str(number)], f"k{number}", {"n": number, "s": "x"})

    async def found(**asked: object) -> list[int]:
        body = {"namespace_prefix": [root], **asked}
        answer = await api.call("POST", "/store/items/search", body)
        return sorted(one["value"]["n"] for one in answer.must(200)["items"])

    assert await found() == [0, 1, 2]
    assert await found(namespace_prefix=[root, "1"]) == [1]
    assert await found(filter={"n": 1}) == [1]
    assert await found(filter={"n": {"$gt": 0}}) == [1, 2]
    assert await found(filter={"n": {"$gte": 1, "$lt": 2}}) == [1]
    assert await found(filter={"n": {"$ne": 1}, "s": {"$eq": "x"}}) == [0, 2]
    assert len(await found(limit=2)) == 2
    assert len(await found(offset=2)) == 1
    assert len(await found(limit=0)) == 3
    assert await found(query="anything", filter=None, refresh_ttl=None) == [0, 1, 2]


@scenario("POST /store/items/search 400", alone=True)
async def search_refused(api: Api) -> None:
    root = str(uuid4())
    await api.sdk.store.put_item([root], "k", {"n": 1})
    body = {"namespace_prefix": [root], "filter": {"n": {"$bogus": 1}}}
    answer = await api.call("POST", "/store/items/search", body)
    answer.must(400)
    assert answer.detail == "Unsupported operator: $bogus"


@scenario("search the store without a prefix")
async def search_all(api: Api) -> None:
    (await api.call("POST", "/store/items/search", {})).must(200)


@scenario("an item that is put again keeps when it was created")
async def put_again(api: Api) -> None:
    root = str(uuid4())
    for number in range(2):
        await api.sdk.store.put_item([root], "k", {"n": number})
    path = f"/store/items?namespace={root}&key=k"
    found = (await api.call("GET", path)).must(200)
    assert found["created_at"] < found["updated_at"]


@scenario("POST /store/namespaces 200")
async def namespaces(api: Api) -> None:
    root = str(uuid4())
    for path in (["a"], ["a", "b"], ["a", "b", "c"], ["d", "c"]):
        await api.sdk.store.put_item([root, *path], "k", {})

    async def found(**asked: object) -> list[list[str]]:
        body = {"prefix": [root], **asked}
        answer = await api.call("POST", "/store/namespaces", body)
        return [one[1:] for one in answer.must(200)["namespaces"]]

    assert await found() == [["a"], ["a", "b"], ["a", "b", "c"], ["d", "c"]]
    assert await found(suffix=["c"]) == [["a", "b", "c"], ["d", "c"]]
    assert await found(prefix=[root, "*", "b"]) == [["a", "b"], ["a", "b", "c"]]
    assert await found(max_depth=2) == [["a"], ["d"]]
    assert await found(limit=1, offset=1) == [["a", "b"]]


@scenario("pages of more than a thousand items")
async def long_pages(api: Api) -> None:
    body = {"namespace_prefix": [str(uuid4())], "limit": 5000}
    assert (await api.call("POST", "/store/items/search", body)).must(200) == {"items": []}
    body = {"prefix": [str(uuid4())], "limit": 5000}
    assert (await api.call("POST", "/store/namespaces", body)).must(200) == {"namespaces": []}


@scenario("compare what not all items of the store have, or what are no numbers", alone=True)
async def compared(api: Api) -> None:
    space = str(uuid4())
    for key, value in (("a", {"x": 1, "y": "m"}), ("b", {"x": 2}), ("c", {})):
        item = {"namespace": [space], "key": key, "value": value}
        (await api.ask("PUT", "/store/items", item)).must(204)
    for matches, keys in (({"x": {"$gt": 1}}, ["b"]), ({"y": {"$gt": "a"}}, ["a"])):
        body = {"namespace_prefix": [space], "filter": matches}
        found = (await api.call("POST", "/store/items/search", body)).must(200)["items"]
        assert [one["key"] for one in found] == keys
