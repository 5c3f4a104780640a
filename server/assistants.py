"""/assistants"""

from contextlib import suppress
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from starlette.responses import Response

from engine.assistants import Assistant, AssistantQuery, Draft, Version
from engine.caller import Caller
from engine.config import reading
from engine.errors import Invalid, NotFound
from engine.ids import parse_uuid, system_assistant_id
from server.auth.access import Asks
from server.bodies import Body, Json, Limit, Object, Offset, Paged, TheEngine, moment

router = APIRouter(prefix="/assistants", tags=["Assistants"])

FIELDS = tuple(Assistant.__dataclass_fields__)


class Configured(Body):
    """A RunnableConfig; what else it has is kept."""

    model_config = ConfigDict(extra="allow")

    configurable: Object | None = None
    tags: list[str] | None = None
    recursion_limit: int | None = None


class Edit(Body):
    """What an assistant is to be. `config["configurable"]` and `context` mirror each other."""

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: Configured | None = None
    context: Object | None = None
    metadata: Object | None = None

    def value(self, assistant_id: UUID) -> Object:
        """What it is asked leave with."""
        fields = self.model_dump(exclude={"description"}, exclude_none=True)
        return {"assistant_id": assistant_id, "metadata": {}, **fields}

    def draft(self, allowed: Object) -> Draft:
        """The same for the engine, as it was allowed."""
        fields = ("graph_id", "name", "config", "context", "metadata")
        return Draft(description=self.description, **{name: allowed.get(name) for name in fields})


class Create(Edit):
    """A new assistant."""

    graph_id: str
    assistant_id: UUID | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"


class Count(Body):
    """Which assistants."""

    graph_id: str | None = None
    name: str | None = None
    metadata: Object | None = None

    def query(self, allowed: Object) -> AssistantQuery:
        return AssistantQuery(self.graph_id, self.name, allowed.get("metadata"))


class Search(Count, Paged):
    """Which assistants, page by page."""

    sort_by: Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"] | None = None


class Versions(Body):
    """Which versions."""

    metadata: Object | None = None
    limit: Limit = 10
    offset: Offset = 0


class Latest(Body):
    """The version to go back to."""

    version: Annotated[int, Field(lt=2**31)] | None = None


@router.post("")
async def create(body: Create, access: Asks, engine: TheEngine) -> Json:
    assistant_id = body.assistant_id or uuid4()
    value = {**body.value(assistant_id), "if_exists": body.if_exists}
    caller = await access("assistants", "create", value)
    made = await engine.assistants.create(
        caller,
        body.draft(value),
        assistant_id=assistant_id,
        keep_existing=body.if_exists == "do_nothing",
    )
    return Json(render(made))


@router.post("/search")
async def search(body: Search, access: Asks, engine: TheEngine) -> Json:
    value = _asked(body, limit=body.limit, offset=body.offset)
    caller = await access("assistants", "search", value)
    found = await engine.assistants.search(caller, body.query(value), body.page(body.sort_by))
    return body.answer([render(assistant) for assistant in found], FIELDS)


@router.post("/count")
async def count(body: Count, access: Asks, engine: TheEngine) -> Json:
    value = _asked(body, limit=1, offset=0)
    caller = await access("assistants", "search", value)
    return Json(await engine.assistants.count(caller, body.query(value)))


@router.get("/{assistant_id}")
async def get(assistant_id: UUID, access: Asks, engine: TheEngine) -> Json:
    _, assistant = await _read(assistant_id, access, engine)
    return Json(render(assistant))


@router.patch("/{assistant_id}")
async def patch(assistant_id: UUID, body: Edit, access: Asks, engine: TheEngine) -> Json:
    value = body.value(assistant_id)
    caller = await access("assistants", "update", value)
    return Json(render(await engine.assistants.patch(caller, assistant_id, body.draft(value))))


@router.delete("/{assistant_id}")
async def delete(
    assistant_id: UUID, access: Asks, engine: TheEngine, delete_threads: str = "false"
) -> Response:
    """With `delete_threads=true` also the threads that have it in their metadata."""
    caller = await access("assistants", "delete", {"assistant_id": assistant_id})
    threads = await _threads(assistant_id, access, engine) if _is_true(delete_threads) else []
    await engine.assistants.delete(caller, assistant_id)
    for owner, thread_id in threads:
        with suppress(NotFound):  # by now
            await engine.threads.delete(owner, thread_id)
    return Response(status_code=204)


@router.post("/{assistant_id}/versions")
async def versions(assistant_id: UUID, body: Versions, access: Asks, engine: TheEngine) -> Json:
    value: Object = {"assistant_id": assistant_id, "metadata": {}}
    caller = await access("assistants", "read", value)
    found = await engine.assistants.versions(
        caller, assistant_id, limit=body.limit, offset=body.offset, metadata=body.metadata
    )
    return Json([_version(one) for one in found])


@router.post("/{assistant_id}/latest")
async def latest(assistant_id: UUID, body: Latest, access: Asks, engine: TheEngine) -> Json:
    value: Object = {"assistant_id": assistant_id, "version": body.version, "metadata": {}}
    caller = await access("assistants", "update", value)
    return Json(render(await engine.assistants.restore(caller, assistant_id, body.version)))


@router.get("/{assistant_id}/schemas")
async def schemas(assistant_id: UUID, access: Asks, engine: TheEngine) -> Json:
    caller, assistant = await _read(assistant_id, access, engine)
    return Json(await engine.graphs.schemas(assistant.graph_id, reading(caller, assistant)))


@router.get("/{assistant_id}/graph")
async def graph(assistant_id: str, access: Asks, engine: TheEngine, xray: str = "false") -> Json:
    """Here the id may also be a graph's name."""
    depth = _depth(xray)
    if assistant_id in engine.graphs:
        value = {"assistant_id": system_assistant_id(assistant_id), "metadata": {}}
        caller = await access("assistants", "read", value)
        return Json(await engine.graphs.draw(assistant_id, reading(caller), depth=depth))
    if (known := parse_uuid(assistant_id)) is None:
        raise Invalid("Invalid assistant ID: must be a UUID")
    caller, assistant = await _read(known, access, engine)
    config = reading(caller, assistant)
    return Json(await engine.graphs.draw(assistant.graph_id, config, depth=depth))


@router.get("/{assistant_id}/subgraphs")
@router.get("/{assistant_id}/subgraphs/{namespace}")
async def subgraphs(
    assistant_id: UUID,
    access: Asks,
    engine: TheEngine,
    namespace: str | None = None,
    recurse: Annotated[str, Query()] = "false",
) -> Json:
    """Schemas by namespace; a namespace that is none has none."""
    caller, assistant = await _read(assistant_id, access, engine)
    found = await engine.graphs.subgraphs(
        assistant.graph_id,
        namespace,
        reading(caller, assistant),
        recurse=_is_true(recurse),
    )
    return Json(found)


def render(assistant: Assistant) -> Object:
    row = {name: getattr(assistant, name) for name in FIELDS}
    return row | {
        "created_at": moment(assistant.created_at),
        "updated_at": moment(assistant.updated_at),
    }


def _version(version: Version) -> Object:
    row: Object = {name: getattr(version, name) for name in Version.__dataclass_fields__}
    return row | {"created_at": moment(version.created_at)}


async def _read(assistant_id: UUID, access: Asks, engine: TheEngine) -> tuple[Caller, Assistant]:
    caller = await access("assistants", "read", {"assistant_id": assistant_id, "metadata": {}})
    return caller, await engine.assistants.get(caller, assistant_id)


async def _threads(
    assistant_id: UUID, access: Asks, engine: TheEngine
) -> list[tuple[Caller, UUID]]:
    """Those that name it in their metadata, and as whom each is deleted. Raises `Forbidden`."""
    value: Object = {"metadata": {"assistant_id": str(assistant_id)}}
    found = await engine.threads.ids(await access("threads", "search", value), value["metadata"])
    return [(await access("threads", "delete", {"thread_id": one}), one) for one in found]


def _asked(body: Count, **page: int) -> Object:
    value: dict[str, Any] = {"graph_id": body.graph_id, "metadata": body.metadata or {}}
    return {**value, **page}


def _is_true(text: str) -> bool:
    """Any other text is not wrong, but false."""
    return text.lower() in {"true", "1"}


def _depth(xray: str) -> bool | int:
    if xray.lower() in {"true", "false"}:
        return xray.lower() == "true"
    if xray.isdecimal() and len(xray) < 10 and int(xray) > 0:
        return int(xray)
    raise Invalid("Invalid xray value")
