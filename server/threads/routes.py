"""/threads"""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header
from langgraph.types import StateUpdate
from pydantic import Field
from starlette.responses import Response

from engine.commands import command
from engine.errors import BadRequest, Conflict, NotFound
from engine.ids import new_id, parse_uuid
from engine.state import may_edit
from engine.threads import Thread, ThreadQuery, Ttl
from server.auth.access import Asks
from server.bodies import Body, Json, Object, Paged, TheEngine, moment
from server.runs.body import Command
from server.threads import extract

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
_RESERVED = frozenset(FIELDS) - {"error", "context"}
Status = Literal["idle", "busy", "interrupted", "error"]


class TtlBody(Body):
    """How many minutes after its last change a thread expires, and what then goes."""

    ttl: Annotated[float, Field(gt=0, le=50_000_000)] | None = None
    strategy: Literal["delete", "keep_latest"] = "delete"


class UpdateBody(Body):
    """What a node is to have returned; a command wins over values."""

    values: Object | list[Object] | None = None
    command: Command | None = None
    as_node: str

    def update(self) -> StateUpdate:
        values: Any = self.values
        if self.command:
            values = command(self.command.model_dump(exclude_none=True))
        return StateUpdate(values, self.as_node)


class Superstep(Body):
    """Updates that make one checkpoint."""

    updates: list[UpdateBody]


class Create(Body):
    """A new thread; `supersteps` are what is to have happened on it."""

    thread_id: UUID | None = None
    metadata: Object = Field(default_factory=dict)
    if_exists: Literal["raise", "do_nothing"] = "raise"
    ttl: TtlBody | None = None
    supersteps: list[Superstep] = Field(default_factory=list)


class Patch(Body):
    """Metadata to merge."""

    metadata: Object = Field(default_factory=dict)
    ttl: TtlBody | None = None


class Count(Body):
    """Which threads."""

    metadata: Object | None = None
    values: Object | None = None
    status: Status | None = None
    ids: list[str] | None = None

    def value(self, **page: int) -> Object:
        """What it is asked leave with."""
        ids = [_known(text) for text in self.ids or ()] or None
        asked = {"metadata": self.metadata or {}, "values": self.values or {}}
        return {**asked, "status": self.status, "ids": ids, **page}


class Search(Count, Paged):
    """Which threads, page by page, and what to extract from each."""

    sort_by: (
        Literal["thread_id", "created_at", "updated_at", "state_updated_at", "status"] | None
    ) = None
    extract: Annotated[dict[str, str], Field(max_length=10)] | None = None


class Prune(Body):
    """Threads to delete, or to keep only the latest checkpoint of."""

    thread_ids: list[UUID]
    strategy: Literal["delete", "keep_latest"] = "delete"


@router.post("")
async def create(body: Create, access: Asks, engine: TheEngine) -> Json:
    """201 when the thread is there, but could not be given its supersteps."""
    value = _created(body.thread_id or new_id(), body.metadata, body.ttl)
    value["if_exists"] = body.if_exists
    caller = await access("threads", "create", value)
    if body.supersteps:
        may_edit(caller)
    thread = await engine.threads.create(
        caller,
        thread_id=value["thread_id"],
        metadata=value["metadata"],
        ttl=_ttl(body.ttl),
        keep_existing=body.if_exists == "do_nothing",
    )
    if body.supersteps:
        steps = [[update.update() for update in step.updates] for step in body.supersteps]
        try:
            await engine.states.replay(caller, thread.thread_id, steps)
        except NotFound as error:
            text = f"Thread {thread.thread_id} was created, but there were problems updating the "
            return Json({"detail": f"{text}state: {error}"}, status_code=201)
        thread = await engine.threads.get(caller, thread.thread_id)
    return Json(render(thread))


@router.post("/search")
async def search(body: Search, access: Asks, engine: TheEngine) -> Json:
    extract.check(body.extract or {}, _RESERVED)
    value = body.value(limit=body.limit, offset=body.offset)
    caller = await access("threads", "search", value)
    found = await engine.threads.search(caller, _query(value), body.page(body.sort_by))
    rows = [render(thread) for thread in found]
    if body.extract:
        for row in rows:
            row["extracted"] = extract.extracted(row, body.extract)
    return body.answer(rows, FIELDS, always=("extracted",))


@router.post("/count")
async def count(body: Count, access: Asks, engine: TheEngine) -> Json:
    value = body.value(limit=1, offset=0)
    caller = await access("threads", "search", value)
    return Json(await engine.threads.count(caller, _query(value)))


@router.post("/prune")
async def prune(body: Prune, access: Asks, engine: TheEngine) -> Json:
    """Threads that are unknown, or busy when they are to be kept, are left out."""
    pruned = 0
    for thread_id in dict.fromkeys(body.thread_ids):
        pruned += await _prune(thread_id, body.strategy, access, engine)
    return Json({"pruned_count": pruned})


@router.get("/{thread_id}")
async def get(thread_id: UUID, access: Asks, engine: TheEngine, include: str | None = None) -> Json:
    """`include=ttl` also tells when it expires, if it does."""
    caller = await access("threads", "read", {"thread_id": thread_id})
    thread = await engine.threads.get(caller, thread_id)
    row = render(thread)
    if "ttl" in (include or "").split(",") and thread.ttl_minutes is not None:
        row["ttl"] = {
            "strategy": thread.ttl_strategy,
            "ttl_minutes": thread.ttl_minutes,
            "expires_at": thread.expires_at and moment(thread.expires_at),
        }
    return Json(row)


@router.patch("/{thread_id}")
async def patch(
    thread_id: UUID,
    body: Patch,
    access: Asks,
    engine: TheEngine,
    prefer: Annotated[str, Header()] = "",
) -> Response:
    value = _created(thread_id, body.metadata, body.ttl)
    caller = await access("threads", "update", value)
    thread = await engine.threads.patch(caller, thread_id, value["metadata"], _ttl(body.ttl))
    return Response(status_code=204) if "return=minimal" in prefer else Json(render(thread))


@router.delete("/{thread_id}")
async def delete(thread_id: UUID, access: Asks, engine: TheEngine) -> Response:
    caller = await access("threads", "delete", {"thread_id": thread_id})
    await engine.threads.delete(caller, thread_id)
    return Response(status_code=204)


@router.post("/{thread_id}/copy")
async def copy(thread_id: UUID, access: Asks, engine: TheEngine) -> Json:
    """A thread of the caller's with the same state and history, and without runs."""
    reader = await access("threads", "read", {"thread_id": thread_id})
    try:
        source = await engine.threads.get(reader, thread_id)
        value = _created(new_id(), dict(source.metadata))
        caller = await access("threads", "create", value)
        made = await engine.states.copy(
            reader, thread_id, caller, copy_id=value["thread_id"], metadata=value["metadata"]
        )
    except NotFound as error:
        raise Conflict from error
    return Json(render(made))


@router.get("/{thread_id}/storage")
async def storage(thread_id: UUID, access: Asks, engine: TheEngine) -> Json:
    """How much room its checkpoints take."""
    caller = await access("threads", "read", {"thread_id": thread_id})
    await engine.threads.get(caller, thread_id)
    usage = await engine.graphs.checkpointer.ausage(str(thread_id))
    values = {
        "count": sum(room.count for room in usage.channels.values()),
        "bytes": sum(room.bytes for room in usage.channels.values()),
        "by_channel": {
            name: {"versions": room.count, "bytes": room.bytes}
            for name, room in usage.channels.items()
        },
    }
    row = {
        "thread_id": thread_id,
        "total_bytes": usage.checkpoints.bytes + values["bytes"] + usage.writes.bytes,  # type: ignore[operator]
        "checkpoints": usage.checkpoints,
        "channel_values": values,
        "pending_writes": usage.writes,
    }
    return Json(row)


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


async def _prune(thread_id: UUID, strategy: str, access: Asks, engine: TheEngine) -> bool:
    try:
        if strategy == "keep_latest":
            caller = await access("threads", "update", {"thread_id": thread_id, "metadata": {}})
            return await engine.threads.prune(caller, thread_id)
        caller = await access("threads", "delete", {"thread_id": thread_id})
        await engine.threads.delete(caller, thread_id)
    except NotFound:
        return False
    return True


def _created(thread_id: UUID, metadata: Object, ttl: TtlBody | None = None) -> Object:
    """What a thread is asked leave for with."""
    extra = {"ttl": ttl.model_dump()} if ttl else {}
    return {"thread_id": thread_id, "metadata": metadata, **extra}


def _ttl(body: TtlBody | None) -> Ttl | None:
    return Ttl(body.ttl, body.strategy) if body and body.ttl is not None else None


def _query(value: Object) -> ThreadQuery:
    return ThreadQuery(value["ids"], value["metadata"], value["values"] or None, value["status"])


def _known(text: str) -> UUID:
    if (thread_id := parse_uuid(text)) is None:
        raise BadRequest(f"Invalid thread ID {text}")
    return thread_id
