"""/store: long-term memory, shared with the graphs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter, Query
from langgraph.store.base import NOT_PROVIDED, Item, SearchItem
from psycopg.errors import ProgramLimitExceeded
from pydantic import Field
from starlette.responses import JSONResponse, PlainTextResponse, Response

from engine.errors import BadRequest, Invalid
from engine.namespaces import of_caller
from server.auth.access import Asks
from server.bodies import Body, Json, Object, Offset, TheEngine, moment

router = APIRouter(prefix="/store", tags=["Store"])

Limit = Annotated[int, Field(ge=0, le=10_000)]
Minutes = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Address(Body):
    """Where an item is."""

    namespace: list[str]
    key: str


class Put(Address):
    """An item to keep; `index` are the fields to find it by, or false for none.

    `ttl` is minutes, or null for ever; without it the project's default counts.
    """

    nullable: ClassVar = frozenset({"ttl"})

    value: Object
    index: Literal[False] | list[str] | None = None
    ttl: Minutes | None = None


class Search(Body):
    """Which items; without a `query` the newest are the first. A `limit` of 0 means 10."""

    namespace_prefix: list[str] = Field(default_factory=list)
    filter: Object | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: str | None = None
    refresh_ttl: bool | None = None


class Namespaces(Body):
    """Which namespaces; `*` in `prefix` and `suffix` is any label."""

    prefix: list[str] | None = None
    suffix: list[str] | None = None
    max_depth: Annotated[int, Field(ge=1)] | None = None
    limit: Limit = 100
    offset: Offset = 0


@router.put("/items")
async def put(body: Put, access: Asks, engine: TheEngine) -> Response:
    if refusal := _refusal(body.namespace):
        return refusal
    asked = {"key": body.key, "value": body.value, "index": body.index}
    value: Object = {"namespace": tuple(body.namespace), **asked}
    store = of_caller(engine.store, await access("store", "put", value))
    ttl = body.ttl if "ttl" in body.model_fields_set else NOT_PROVIDED
    with _understood():
        await store.aput(
            _namespace(value), value["key"], value["value"], value.get("index"), ttl=ttl
        )
    return Response(status_code=204)


@router.get("/items")
async def get(
    access: Asks,
    engine: TheEngine,
    namespace: str = "",
    key: str | None = None,
    refresh_ttl: Annotated[bool | None, Query()] = None,
) -> Response:
    """The namespace is one parameter, joined with periods. An item that is missing is null."""
    if key is None:
        return JSONResponse({"error": "Key is required"}, 400)
    labels = namespace.split(".")
    if refusal := _refusal(labels):
        return refusal
    value: Object = {"namespace": tuple(labels), "key": key}
    store = of_caller(engine.store, await access("store", "get", value))
    with _understood():
        item = await store.aget(_namespace(value), value["key"], refresh_ttl=refresh_ttl)
    return Json(item and _render(item))


@router.delete("/items")
async def delete(body: Address, access: Asks, engine: TheEngine) -> Response:
    """Also when there is no such item."""
    if refusal := _refusal(body.namespace):
        return refusal
    value: Object = {"namespace": tuple(body.namespace), "key": body.key}
    store = of_caller(engine.store, await access("store", "delete", value))
    with _understood():
        await store.adelete(_namespace(value), value["key"])
    return Response(status_code=204)


@router.post("/items/search")
async def search(body: Search, access: Asks, engine: TheEngine) -> Response:
    if refusal := _refusal(body.namespace_prefix):
        return refusal
    value: Object = {
        "namespace": tuple(body.namespace_prefix),
        "filter": body.filter,
        "limit": body.limit or 10,
        "offset": body.offset,
        "query": body.query,
    }
    caller = await access("store", "search", value)
    store = of_caller(engine.store, caller)
    asked: Object = {name: value.get(name) for name in ("limit", "offset", "query")}
    asked["filter"] = {**(value.get("filter") or {}), **caller.filter} or None
    with _understood():
        found = await store.asearch(_namespace(value), **asked, refresh_ttl=body.refresh_ttl)
    return Json({"items": [{**_render(item), "score": item.score} for item in found]})


@router.post("/namespaces")
async def namespaces(body: Namespaces, access: Asks, engine: TheEngine) -> Response:
    if refusal := _refusal([*(body.prefix or ()), *(body.suffix or ())]):
        return refusal
    value: Object = {
        "namespace": None if body.prefix is None else tuple(body.prefix),
        "suffix": None if body.suffix is None else tuple(body.suffix),
        "max_depth": body.max_depth,
        "limit": body.limit,
        "offset": body.offset,
    }
    store = of_caller(engine.store, await access("store", "list_namespaces", value))
    asked: Object = {name: value.get(name) for name in ("suffix", "max_depth", "limit", "offset")}
    with _understood():
        found = await store.alist_namespaces(prefix=_namespace(value) or None, **asked)
    return Json({"namespaces": found})


def _refusal(labels: Sequence[str]) -> Response | None:
    for label in labels:
        if not label or "." in label:
            said = f"Namespace label '{label}' must be a non-empty string without periods"
            return PlainTextResponse(said.encode(errors="replace"), 422)
    return None


def _namespace(value: Object) -> tuple[str, ...]:
    """As whoever decided about it has left it."""
    return tuple(value["namespace"] or ())


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except ProgramLimitExceeded as error:
        raise Invalid("The namespace or the key is too long.") from error
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _render(item: Item | SearchItem) -> Object:
    return {
        "namespace": item.namespace,
        "key": item.key,
        "value": item.value,
        "created_at": moment(item.created_at),
        "updated_at": moment(item.updated_at),
    }
