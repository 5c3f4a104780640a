"""/threads/{thread_id}/runs and the stateless /runs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from engine.caller import Caller
from engine.claims import Run
from engine.errors import NotFound
from engine.runs import GONE_REASON
from engine.runtime import Engine
from engine.serialise import dumps
from engine.watch import Batches
from server.bodies import Asking, Json, Object, TheEngine, moment, select
from server.run_body import RunBody
from server.sse import EventStream, OnGone, SlowJson, frame, frames

RequestId = Annotated[str | None, Header(alias="x-request-id")]
IdempotencyKey = Annotated[
    str | None, Header(alias="idempotency-key", min_length=1, max_length=255)
]


@dataclass(frozen=True)
class Headers:
    """What a request for a run says beside its body."""

    request_id: str | None
    idempotency_key: str | None


async def _headers(request_id: RequestId = None, idempotency_key: IdempotencyKey = None) -> Headers:
    return Headers(request_id, idempotency_key)


Asked = Annotated[Headers, Depends(_headers)]

threaded = APIRouter(prefix="/threads/{thread_id}/runs", tags=["Thread runs"])
stateless = APIRouter(prefix="/runs", tags=["Stateless runs"])

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
_MISSING = {"error": "HTTPException", "message": "404: Run not found"}

LastEventId = Annotated[str | None, Header(alias="last-event-id")]


@threaded.post("")
async def create(
    thread_id: UUID, body: RunBody, caller: Asking, engine: TheEngine, asked: Asked
) -> Json:
    run = await _create(engine, caller, thread_id, body, asked)
    return Json(render(run), headers={"Content-Location": _path(run)})


@threaded.post("/stream")
async def stream(
    thread_id: UUID, body: RunBody, caller: Asking, engine: TheEngine, asked: Asked
) -> Response:
    run = await _create(engine, caller, thread_id, body, asked)
    return _stream(engine, caller, run, body, _path(run))


@threaded.post("/wait")
async def wait(
    thread_id: UUID, body: RunBody, caller: Asking, engine: TheEngine, asked: Asked
) -> Response:
    run = await _create(engine, caller, thread_id, body, asked)
    return _wait(engine, caller, run, cancel=body.on_disconnect == "cancel")


@threaded.get("")
async def of_thread(
    thread_id: UUID,
    caller: Asking,
    engine: TheEngine,
    limit: Annotated[int, Query(ge=0, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0)] = 0,
    status: str | None = None,
    chosen: Annotated[list[str] | None, Query(alias="select")] = None,
) -> Json:
    runs = await engine.runs.of_thread(caller, thread_id, limit=limit, offset=offset, status=status)
    return Json([select(render(run), chosen, FIELDS) for run in runs])


@threaded.get("/{run_id}")
async def get(thread_id: UUID, run_id: UUID, caller: Asking, engine: TheEngine) -> Json:
    return Json(render(await engine.runs.get(caller, thread_id, run_id)))


@threaded.delete("/{run_id}")
async def delete(thread_id: UUID, run_id: UUID, caller: Asking, engine: TheEngine) -> Response:
    await engine.runs.delete(caller, thread_id, run_id)
    return Response(status_code=204)


@threaded.post("/{run_id}/cancel")
async def cancel(
    thread_id: UUID,
    run_id: UUID,
    caller: Asking,
    engine: TheEngine,
    *,
    wait: bool = False,
    action: str = "interrupt",
) -> Response:
    """Any action but `rollback` interrupts."""
    run = await engine.runs.get(caller, thread_id, run_id)
    how: Literal["rollback", "interrupt"] = "rollback" if action == "rollback" else "interrupt"
    await engine.runs.cancel(caller, thread_id, run_id, how)
    if not wait:
        return Response(status_code=202)

    async def over() -> AsyncIterator[bytes]:
        async for events in engine.watch.from_now(caller, run):
            if not events:
                yield b"\n"
        yield b"{}"

    return SlowJson(over(), {"Location": f"{_path(run)}/join"})


@threaded.get("/{run_id}/join")
async def join(
    thread_id: UUID,
    run_id: UUID,
    caller: Asking,
    engine: TheEngine,
    *,
    cancel_on_disconnect: bool = False,
) -> Response:
    """Always 200: a run that is missing is told in the body."""
    try:
        run = await engine.runs.get(caller, thread_id, run_id)
    except NotFound:
        return Json({"__error__": _MISSING})
    return _wait(engine, caller, run, cancel=cancel_on_disconnect, live=True)


@threaded.get("/{run_id}/stream")
async def join_stream(
    thread_id: UUID,
    run_id: UUID,
    caller: Asking,
    engine: TheEngine,
    stream_mode: Annotated[list[str] | None, Query()] = None,
    last_event_id: LastEventId = None,
    *,
    cancel_on_disconnect: bool = False,
) -> Response:
    return await _rejoin(
        engine,
        caller,
        (thread_id, run_id),
        stream_mode,
        last_event_id,
        cancel=cancel_on_disconnect,
    )


@stateless.post("")
async def create_stateless(body: RunBody, caller: Asking, engine: TheEngine, asked: Asked) -> Json:
    run = await _create(engine, caller, None, body, asked)
    return Json(render(run), headers={"Content-Location": f"/runs/{run.run_id}"})


@stateless.post("/stream")
async def stream_stateless(
    body: RunBody, caller: Asking, engine: TheEngine, asked: Asked
) -> Response:
    run = await _create(engine, caller, None, body, asked)
    return _stream(engine, caller, run, body, f"/runs/{run.run_id}")


@stateless.post("/wait")
async def wait_stateless(
    body: RunBody, caller: Asking, engine: TheEngine, asked: Asked
) -> Response:
    run = await _create(engine, caller, None, body, asked)
    return _wait(engine, caller, run, cancel=body.on_disconnect == "cancel")


@stateless.get("/{run_id}/stream")
async def join_stateless(
    run_id: UUID,
    caller: Asking,
    engine: TheEngine,
    stream_mode: Annotated[list[str] | None, Query()] = None,
    last_event_id: LastEventId = None,
    *,
    cancel_on_disconnect: bool = False,
) -> Response:
    return await _rejoin(
        engine, caller, (None, run_id), stream_mode, last_event_id, cancel=cancel_on_disconnect
    )


def render(run: Run) -> Object:
    """Who asked is not shown to others who may see the run."""
    kwargs = {name: value for name, value in run.kwargs.items() if name != "trace"}
    config = kwargs["config"]
    shown = {
        key: value
        for key, value in config["configurable"].items()
        if not key.startswith("langgraph_auth_")
    }
    return {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "metadata": run.metadata,
        "status": run.seen_status,
        "kwargs": {**kwargs, "config": {**config, "configurable": shown}},
        "multitask_strategy": run.multitask_strategy,
        "created_at": moment(run.created_at),
        "updated_at": moment(run.updated_at),
        "langsmith_session_name": None,
    }


async def _create(
    engine: Engine, caller: Caller, thread_id: UUID | None, body: RunBody, asked: Headers
) -> Run:
    request = body.request(
        request_id=asked.request_id or str(uuid4()),
        idempotency_key=asked.idempotency_key,
        stateless=thread_id is None,
    )
    if request.webhook is not None:
        await engine.webhooks.check(request.webhook)
    return await engine.runs.create(caller, thread_id, request)


def _stream(engine: Engine, caller: Caller, run: Run, body: RunBody, path: str) -> EventStream:
    return EventStream(
        frames(engine.watch.from_start(caller, run), resumable=body.stream_resumable),
        {"Location": f"{path}/stream", "Content-Location": path},
        _canceller(engine, caller, run) if body.on_disconnect == "cancel" else None,
    )


def _wait(
    engine: Engine, caller: Caller, run: Run, *, cancel: bool, live: bool = False
) -> Response:
    start = engine.watch.from_now if live else engine.watch.from_start
    return SlowJson(
        engine.watch.output(caller, start(caller, run), run),
        {"Location": f"{_path(run)}/join", "Content-Location": _path(run)},
        _canceller(engine, caller, run) if cancel else None,
    )


async def _rejoin(
    engine: Engine,
    caller: Caller,
    ids: tuple[UUID | None, UUID],
    stream_mode: list[str] | None,
    last_event_id: str | None,
    *,
    cancel: bool,
) -> Response:
    """Always 200: a run that is missing is told by an event."""
    try:
        run = await engine.runs.get(caller, *ids)
    except NotFound:
        return EventStream(_missing())
    path = _path(run) if ids[0] else f"/runs/{run.run_id}"
    events = engine.watch.rejoin(caller, run, last_event_id)
    return EventStream(
        frames(_only(events, stream_mode), resumable=run.kwargs["resumable"]),
        {"Location": f"{path}/stream", "Content-Location": path},
        _canceller(engine, caller, run) if cancel else None,
    )


async def _only(batches: Batches, modes: list[str] | None) -> Batches:
    """Events of these modes, and those that say how the run goes."""
    kinds = {"messages" if mode == "messages-tuple" else mode for mode in modes or () if mode}
    async for events in batches:
        chosen = [
            event
            for event in events
            if not kinds
            or event.name.partition("|")[0].partition("/")[0]
            in kinds | {"metadata", "error", "end"}
        ]
        if chosen or not events:
            yield chosen


async def _missing() -> AsyncIterator[bytes]:
    yield frame("error", dumps(_MISSING))


def _canceller(engine: Engine, caller: Caller, run: Run) -> OnGone:
    async def cancel() -> None:
        try:
            await engine.runs.cancel(caller, run.thread_id, run.run_id, reason=GONE_REASON)
        except NotFound:
            return  # it was over

    return cancel


def _path(run: Run) -> str:
    return f"/threads/{run.thread_id}/runs/{run.run_id}"
