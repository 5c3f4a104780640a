"""/runs: runs whose thread is made for them, and runs wherever they are."""

from dataclasses import replace
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import Field, model_validator
from starlette.responses import Response

from engine.stopping import Active, Stop
from server.auth.access import Asks
from server.bodies import Body as Fields
from server.bodies import Json, TheEngine
from server.runs.asking import Asked, Headers, admitted, create, render
from server.runs.body import RunBody
from server.runs.joining import Joins, rejoined, streamed, waited

router = APIRouter(prefix="/runs", tags=["Stateless runs"])

_EITHER = "Name either a status, or a thread_id and its run_ids"


class Cancel(Fields):
    """Which runs to stop: those of a status, or some of a thread."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: UUID | None = None
    run_ids: list[UUID] | None = None

    @model_validator(mode="after")
    def _either(self) -> "Cancel":
        named = self.thread_id is not None and self.run_ids is not None
        if named == (self.status is not None):
            raise ValueError(_EITHER)
        return self

    def statuses(self) -> list[Active]:
        if self.status in {None, "all"}:
            return ["pending", "running"]
        return ["pending" if self.status == "pending" else "running"]


@router.post("")
async def ask(body: RunBody, access: Asks, engine: TheEngine, asked: Asked) -> Json:
    _, run = await create(engine, access, None, body, asked)
    return Json(render(run), headers={"Content-Location": f"/runs/{run.run_id}"})


@router.post("/stream")
async def stream(body: RunBody, access: Asks, engine: TheEngine, asked: Asked) -> Response:
    caller, run = await create(engine, access, None, body, asked)
    return streamed(engine, caller, run, body, stateless=True)


@router.post("/wait")
async def wait(body: RunBody, access: Asks, engine: TheEngine, asked: Asked) -> Response:
    caller, run = await create(engine, access, None, body, asked)
    return waited(engine, caller, run, body)


@router.post("/batch")
async def batch(
    bodies: Annotated[list[RunBody], Body(), Field(min_length=1)],
    access: Asks,
    engine: TheEngine,
    asked: Asked,
) -> Json:
    """All of them, or none when one cannot be."""
    requests = [
        await admitted(engine, access, None, body, _numbered(asked, number))
        for number, body in enumerate(bodies)
    ]
    for caller, request in requests:
        await engine.runs.check(caller, request)
    runs = [await engine.runs.create(caller, None, request) for caller, request in requests]
    return Json([render(run) for run in runs])


@router.post("/cancel")
async def cancel(
    body: Cancel, access: Asks, engine: TheEngine, action: str = "interrupt"
) -> Response:
    """Any action but `rollback` interrupts."""
    stop = Stop("rollback" if action == "rollback" else "interrupt")
    named = {"status": body.status, "run_ids": body.run_ids}
    value = {"thread_id": body.thread_id, "action": stop.action, "metadata": named}
    caller = await access("threads", "update", value)
    if body.thread_id is not None and body.run_ids is not None:
        await engine.runs.stopping.these(caller, body.thread_id, body.run_ids, stop)
    else:
        await engine.runs.stopping.all(caller, body.statuses(), stop)
    return Response(status_code=204)


@router.get("/{run_id}/stream")
async def join_stream(run_id: UUID, access: Asks, engine: TheEngine, asked: Joins) -> Response:
    return await rejoined(engine, access, None, run_id, asked)


def _numbered(asked: Headers, number: int) -> Headers:
    """Each run of a batch under a key of its own."""
    key = asked.idempotency_key
    return replace(asked, idempotency_key=key and f"{key}:{number}")
