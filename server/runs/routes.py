"""/threads/{thread_id}/runs."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from server.auth.access import Asks
from server.bodies import Json, Object, TheEngine, known, select
from server.runs.asking import Asked, create, render
from server.runs.body import RunBody
from server.runs.joining import (
    Flag,
    Joins,
    joined,
    path_of,
    rejoined,
    stopped,
    streamed,
    waited,
)

router = APIRouter(prefix="/threads/{thread_id}/runs", tags=["Thread runs"])

FIELDS = (
    "run_id",
    "thread_id",
    "assistant_id",
    "metadata",
    "status",
    "kwargs",
    "multitask_strategy",
    "created_at",
    "updated_at",
    "langsmith_session_name",
)


@router.post("")
async def ask(
    thread_id: UUID, body: RunBody, access: Asks, engine: TheEngine, asked: Asked
) -> Json:
    _, run = await create(engine, access, thread_id, body, asked)
    return Json(render(run), headers={"Content-Location": path_of(run)})


@router.post("/stream")
async def stream(
    thread_id: UUID, body: RunBody, access: Asks, engine: TheEngine, asked: Asked
) -> Response:
    caller, run = await create(engine, access, thread_id, body, asked)
    return streamed(engine, caller, run, body)


@router.post("/wait")
async def wait(
    thread_id: UUID, body: RunBody, access: Asks, engine: TheEngine, asked: Asked
) -> Response:
    caller, run = await create(engine, access, thread_id, body, asked)
    return waited(engine, caller, run, body)


@router.get("")
async def of_thread(
    thread_id: UUID,
    access: Asks,
    engine: TheEngine,
    limit: Annotated[int, Query(ge=0)] = 10,
    offset: Annotated[int, Query(ge=0)] = 0,
    status: str | None = None,
    chosen: Annotated[list[str] | None, Query(alias="select")] = None,
) -> Json:
    known(chosen, FIELDS)
    value = {"thread_id": thread_id, "limit": limit, "offset": offset, "metadata": {}}
    caller = await access("threads", "search", value)
    runs = await engine.runs.of_thread(caller, thread_id, limit=limit, offset=offset, status=status)
    return Json([select(render(run), chosen) for run in runs])


@router.get("/{run_id}")
async def get(thread_id: UUID, run_id: UUID, access: Asks, engine: TheEngine) -> Json:
    caller = await access("threads", "read", {"thread_id": thread_id, "run_id": run_id})
    return Json(render(await engine.runs.get(caller, thread_id, run_id)))


@router.delete("/{run_id}")
async def delete(thread_id: UUID, run_id: UUID, access: Asks, engine: TheEngine) -> Response:
    caller = await access("threads", "delete", {"thread_id": thread_id, "run_id": run_id})
    await engine.runs.delete(caller, thread_id, run_id)
    return Response(status_code=204)


@router.post("/{run_id}/cancel")
async def cancel(
    thread_id: UUID,
    run_id: UUID,
    access: Asks,
    engine: TheEngine,
    *,
    wait: Flag = False,
    action: str = "interrupt",
) -> Response:
    """Any action but `rollback` interrupts."""
    how: Literal["rollback", "interrupt"] = "rollback" if action == "rollback" else "interrupt"
    value: Object = {"thread_id": thread_id, "run_id": run_id, "action": how, "metadata": {}}
    caller = await access("threads", "update", value)
    run = await engine.runs.cancel(caller, thread_id, run_id, how)
    return stopped(engine, caller, run) if wait else Response(status_code=202)


@router.get("/{run_id}/join")
async def join(
    thread_id: UUID,
    run_id: UUID,
    access: Asks,
    engine: TheEngine,
    *,
    cancel_on_disconnect: Flag = False,
) -> Response:
    return await joined(engine, access, thread_id, run_id, cancel=cancel_on_disconnect)


@router.get("/{run_id}/stream")
async def join_stream(
    thread_id: UUID, run_id: UUID, access: Asks, engine: TheEngine, asked: Joins
) -> Response:
    return await rejoined(engine, access, thread_id, run_id, asked)
