"""/threads/{thread_id}/state and /history."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field

from engine.caller import Caller
from server.auth.access import Asks
from server.bodies import Body, Checkpoint, Json, Limit, Object, TheEngine, known

router = APIRouter(prefix="/threads/{thread_id}", tags=["Thread state"])

FIELDS = (
    "values",
    "next",
    "tasks",
    "metadata",
    "created_at",
    "checkpoint",
    "parent_checkpoint",
    "interrupts",
    "checkpoint_id",
    "parent_checkpoint_id",
)


def _number(text: str) -> int:
    if not text.lstrip("-").isdecimal():
        raise ValueError(f"Invalid limit {text}")
    return int(text)


Selected = Annotated[list[str] | None, Query(alias="select")]


class StateAt(Body):
    """The state at a checkpoint."""

    checkpoint: Checkpoint
    subgraphs: bool = False
    select: list[str] | None = None


class Update(Body):
    """Values to write as a node."""

    values: Object | list[Any] | None = None
    as_node: str | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None

    def at(self) -> Object | None:
        if self.checkpoint:
            return self.checkpoint.pointer()
        return {"checkpoint_id": self.checkpoint_id}


class Metadata(Body):
    """Metadata to merge."""

    metadata: Object = Field(default_factory=dict)


class History(Body):
    """Which states. `before` is an id, a checkpoint, or a config that holds one."""

    limit: Limit = 10
    before: str | Object | None = None
    metadata: Object | None = None
    checkpoint: Checkpoint | None = None
    select: list[str] | None = None

    def before_id(self) -> str | None:
        if not isinstance(self.before, dict):
            return self.before
        inner = self.before.get("configurable")
        found = (inner if isinstance(inner, dict) else self.before).get("checkpoint_id")
        return found if isinstance(found, str) else None


@router.get("/state")
async def state(
    thread_id: UUID,
    access: Asks,
    engine: TheEngine,
    selected: Selected = None,
    *,
    subgraphs: bool = False,
) -> Json:
    show = _choice(selected)
    caller = await _reader(access, thread_id)
    return Json(show(await engine.states.get(caller, thread_id, subgraphs=subgraphs)))


@router.get("/state/{checkpoint_id}")
async def state_at(
    thread_id: UUID,
    checkpoint_id: str,
    access: Asks,
    engine: TheEngine,
    selected: Selected = None,
    *,
    subgraphs: bool = False,
) -> Json:
    show = _choice(selected)
    caller = await _reader(access, thread_id)
    at = {"checkpoint_id": checkpoint_id}
    return Json(show(await engine.states.get(caller, thread_id, at, subgraphs=subgraphs)))


@router.post("/state/checkpoint")
async def state_at_checkpoint(
    thread_id: UUID, body: StateAt, access: Asks, engine: TheEngine
) -> Json:
    show = _choice(body.select)
    caller = await _reader(access, thread_id)
    at = body.checkpoint.pointer()
    return Json(show(await engine.states.get(caller, thread_id, at, subgraphs=body.subgraphs)))


@router.post("/state")
async def update(thread_id: UUID, body: Update, access: Asks, engine: TheEngine) -> Json:
    caller = await access("threads", "update", {"thread_id": thread_id, "metadata": {}})
    written = await engine.states.update(
        caller, thread_id, body.values, as_node=body.as_node, checkpoint=body.at()
    )
    return Json(written)


@router.patch("/state")
async def patch(thread_id: UUID, body: Metadata, access: Asks, engine: TheEngine) -> Json:
    """Into the thread's metadata, and into that of its latest state."""
    value: Object = {"thread_id": thread_id, "metadata": body.metadata}
    caller = await access("threads", "update", value)
    await engine.states.patch(caller, thread_id, value["metadata"])
    return Json({})


@router.post("/history")
async def history(thread_id: UUID, body: History, access: Asks, engine: TheEngine) -> Json:
    show = _choice(body.select)
    caller = await _reader(access, thread_id)
    found = await engine.states.history(
        caller,
        thread_id,
        limit=body.limit,
        before=body.before_id(),
        metadata=body.metadata,
        checkpoint=body.checkpoint.pointer() if body.checkpoint else None,
    )
    return Json([show(one) for one in found])


@router.get("/history")
async def latest_history(
    thread_id: UUID,
    access: Asks,
    engine: TheEngine,
    limit: Annotated[int, Query(ge=0, le=1000), BeforeValidator(_number)] = 10,
    before: str | None = None,
    selected: Selected = None,
) -> Json:
    show = _choice(selected)
    caller = await _reader(access, thread_id)
    found = await engine.states.history(caller, thread_id, limit=limit, before=before)
    return Json([show(one) for one in found])


async def _reader(access: Asks, thread_id: UUID) -> Caller:
    return await access("threads", "read", {"thread_id": thread_id})


def _choice(selected: Sequence[str] | None) -> Callable[[Object], Object]:
    """Shows the fields of a state that were chosen: `values`, or `values.messages` alone.

    Raises `Invalid` for unknown ones.
    """
    if not selected:
        return lambda state: state
    names = [name for each in selected for name in each.split(",")]
    keys = [name.removeprefix("values.") for name in names if name.startswith("values.")]
    whole = [name for name in names if not name.startswith("values.")]
    known(whole, FIELDS)

    def show(state: Object) -> Object:
        row = {name: state[name] for name in whole}
        if keys and "values" not in row:
            values = state["values"] if isinstance(state["values"], dict) else {}
            row["values"] = {key: values[key] for key in keys if key in values}
        return row

    return show
