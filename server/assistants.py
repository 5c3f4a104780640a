"""/assistants"""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter

from engine.assistants import Assistant, AssistantQuery
from engine.errors import Invalid, NotFound
from engine.ids import parse_uuid
from server.bodies import Asking, Body, Json, Object, Paged, TheEngine, moment

router = APIRouter(prefix="/assistants", tags=["Assistants"])

FIELDS = tuple(Assistant.__dataclass_fields__)


class Count(Body):
    """Which assistants."""

    graph_id: str | None = None
    name: str | None = None
    metadata: Object | None = None

    def query(self) -> AssistantQuery:
        return AssistantQuery(self.graph_id, self.name, self.metadata)


class Search(Count, Paged):
    """Which assistants, page by page."""

    sort_by: Literal["assistant_id", "created_at", "updated_at", "name", "graph_id"] | None = None


@router.post("/search")
async def search(body: Search, caller: Asking, engine: TheEngine) -> Json:
    found = await engine.assistants.search(caller, body.query(), body.page(body.sort_by))
    return body.answer([render(assistant) for assistant in found], FIELDS)


@router.post("/count")
async def count(body: Count, caller: Asking, engine: TheEngine) -> Json:
    return Json(await engine.assistants.count(caller, body.query()))


@router.get("/{assistant_id}")
async def get(assistant_id: UUID, caller: Asking, engine: TheEngine) -> Json:
    return Json(render(await engine.assistants.get(caller, assistant_id)))


@router.get("/{assistant_id}/schemas")
async def schemas(assistant_id: UUID, caller: Asking, engine: TheEngine) -> Json:
    assistant = await engine.assistants.get(caller, assistant_id)
    return Json(engine.graphs.schemas(assistant.graph_id))


@router.get("/{assistant_id}/graph")
async def graph(assistant_id: str, caller: Asking, engine: TheEngine, xray: str = "false") -> Json:
    """Here the id may also be a graph's name."""
    graph_id = assistant_id
    if (known := parse_uuid(assistant_id)) is not None:
        graph_id = (await engine.assistants.get(caller, known)).graph_id
    elif assistant_id not in engine.graphs:
        raise NotFound
    return Json(engine.graphs.draw(graph_id, depth=_depth(xray)))


def render(assistant: Assistant) -> Object:
    row = {name: getattr(assistant, name) for name in FIELDS}
    return row | {
        "created_at": moment(assistant.created_at),
        "updated_at": moment(assistant.updated_at),
    }


def _depth(xray: str) -> bool | int:
    if xray.lower() in {"true", "false"}:
        return xray.lower() == "true"
    if xray.isdecimal() and int(xray) > 0:
        return int(xray)
    raise Invalid("Invalid xray value")
