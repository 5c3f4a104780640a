"""/threads, with their state and history."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.responses import Response

from engine.errors import BadRequest
from engine.ids import parse_uuid
from engine.threads import Thread, ThreadQuery
from server.bodies import Asking, Body, Checkpoint, Json, Limit, Object, Paged, TheEngine, moment

router = APIRouter(prefix="/threads", tags=["Threads"])

FIELDS = (
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "status",
    "config",
    "values",
    "error",
    "interrupts",
    "context",
)
Status = Literal["idle", "busy", "interrupted", "error"]


class Create(Body):
    """A new thread."""

    thread_id: UUID | None = None
    metadata: Object = Field(default_factory=dict)
    if_exists: Literal["raise", "do_nothing"] = "raise"


class Patch(Body):
    """Metadata to merge."""

    metadata: Object = Field(default_factory=dict)


class Count(Body):
    """Which threads."""

    metadata: Object | None = None
    values: Object | None = None
    status: Status | None = None
    ids: list[str] | None = None

    def query(self) -> ThreadQuery:
        ids = None if self.ids is None else [_known(text) for text in self.ids]
        return ThreadQuery(ids, self.metadata, self.values, self.status)


class Search(Count, Paged):
    """Which threads, page by page."""

    sort_by: (
        Literal["thread_id", "created_at", "updated_at", "state_updated_at", "status"] | None
    ) = None


class StateAt(Body):
    """The state at a checkpoint."""

    checkpoint: Checkpoint
    subgraphs: bool = False


class Update(Body):
    """Values to write as a node."""

    values: Any = None
    as_node: str | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None

    def at(self) -> Object | None:
        if self.checkpoint:
            return self.checkpoint.pointer()
        return {"checkpoint_id": self.checkpoint_id}


class History(Body):
    """Which states. `before` is an id, a checkpoint, or a config that holds one."""

    limit: Limit = 10
    before: str | Object | None = None
    metadata: Object | None = None
    checkpoint: Checkpoint | None = None

    def before_id(self) -> str | None:
        if not isinstance(self.before, dict):
            return self.before
        inner = self.before.get("configurable")
        found = (inner if isinstance(inner, dict) else self.before).get("checkpoint_id")
        return found if isinstance(found, str) else None


@router.post("")
async def create(body: Create, caller: Asking, engine: TheEngine) -> Json:
    keep = body.if_exists == "do_nothing"
    thread = await engine.threads.create(
        caller, thread_id=body.thread_id, metadata=body.metadata, keep_existing=keep
    )
    return Json(render(thread))


@router.post("/search")
async def search(body: Search, caller: Asking, engine: TheEngine) -> Json:
    found = await engine.threads.search(caller, body.query(), body.page(body.sort_by))
    return body.answer([render(thread) for thread in found], FIELDS)


@router.post("/count")
async def count(body: Count, caller: Asking, engine: TheEngine) -> Json:
    return Json(await engine.threads.count(caller, body.query()))


@router.get("/{thread_id}")
async def get(thread_id: UUID, caller: Asking, engine: TheEngine) -> Json:
    return Json(render(await engine.threads.get(caller, thread_id)))


@router.patch("/{thread_id}")
async def patch(
    thread_id: UUID,
    body: Patch,
    caller: Asking,
    engine: TheEngine,
    prefer: Annotated[str, Header()] = "",
) -> Response:
    thread = await engine.threads.patch(caller, thread_id, body.metadata)
    return Response(status_code=204) if "return=minimal" in prefer else Json(render(thread))


@router.delete("/{thread_id}")
async def delete(thread_id: UUID, caller: Asking, engine: TheEngine) -> Response:
    await engine.threads.delete(caller, thread_id)
    return Response(status_code=204)


@router.get("/{thread_id}/state")
async def state(
    thread_id: UUID, caller: Asking, engine: TheEngine, *, subgraphs: bool = False
) -> Json:
    return Json(await engine.states.get(caller, thread_id, subgraphs=subgraphs))


@router.get("/{thread_id}/state/{checkpoint_id}")
async def state_at(
    thread_id: UUID,
    checkpoint_id: str,
    caller: Asking,
    engine: TheEngine,
    *,
    subgraphs: bool = False,
) -> Json:
    at = {"checkpoint_id": checkpoint_id}
    return Json(await engine.states.get(caller, thread_id, at, subgraphs=subgraphs))


@router.post("/{thread_id}/state/checkpoint")
async def state_at_checkpoint(
    thread_id: UUID, body: StateAt, caller: Asking, engine: TheEngine
) -> Json:
    found = await engine.states.get(
        caller, thread_id, body.checkpoint.pointer(), subgraphs=body.subgraphs
    )
    return Json(found)


@router.post("/{thread_id}/state")
async def update(thread_id: UUID, body: Update, caller: Asking, engine: TheEngine) -> Json:
    written = await engine.states.update(
        caller, thread_id, body.values, as_node=body.as_node, checkpoint=body.at()
    )
    return Json(written)


@router.post("/{thread_id}/history")
async def history(thread_id: UUID, body: History, caller: Asking, engine: TheEngine) -> Json:
    found = await engine.states.history(
        caller,
        thread_id,
        limit=body.limit,
        before=body.before_id(),
        metadata=body.metadata,
        checkpoint=body.checkpoint.pointer() if body.checkpoint else None,
    )
    return Json(found)


@router.get("/{thread_id}/history")
async def latest_history(
    thread_id: UUID,
    caller: Asking,
    engine: TheEngine,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    before: str | None = None,
) -> Json:
    return Json(await engine.states.history(caller, thread_id, limit=limit, before=before))


def render(thread: Thread) -> Object:
    """`error` and `interrupts` appear once a run or an update has settled the thread."""
    row = {
        "thread_id": thread.thread_id,
        "created_at": moment(thread.created_at),
        "updated_at": moment(thread.updated_at),
        "state_updated_at": moment(thread.state_updated_at),
        "metadata": thread.metadata,
        "status": thread.status,
        "config": thread.config,
        "values": thread.values,
    }
    if thread.interrupts is not None:
        row |= {"error": thread.error, "interrupts": thread.interrupts}
    return row


def _known(text: str) -> UUID:
    if (thread_id := parse_uuid(text)) is None:
        raise BadRequest(f"Invalid thread ID {text}")
    return thread_id
