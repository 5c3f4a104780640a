"""/runs/crons and /threads/{thread_id}/runs/crons."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError, model_validator
from starlette.responses import Response

from engine.caller import Caller
from engine.crons import Cron, CronQuery, CronRequest
from engine.errors import BadRequest, Invalid, NotFound
from engine.runs import RunRequest
from engine.runtime import Engine
from engine.schedule import Schedule, moment
from server import bodies
from server.auth.access import Access, Asks
from server.bodies import Body, Json, Object, Paged, TheEngine
from server.errors import NO_JSON
from server.runs.asking import Headers, admitted
from server.runs.body import Config, Nodes, RunBody

router = APIRouter(tags=["Crons"])

FIELDS = (
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "end_time",
    "schedule",
    "timezone",
    "payload",
    "next_run_date",
    "metadata",
    "on_run_completed",
    "enabled",
    "created_at",
    "updated_at",
)
_CLEARED = frozenset({"end_time"})  # by null
Kept = Literal["delete", "keep"]


class Create(RunBody):
    """A run, and when to ask for it again and again."""

    schedule: str
    timezone: str | None = None
    end_time: str | None = None
    enabled: bool = True
    on_run_completed: Kept | None = None


class Update(Body):
    """What to change of it. `end_time: null` takes the end away."""

    assistant_id: str | None = None
    schedule: str | None = None
    timezone: str | None = None
    end_time: str | None = None
    enabled: bool | None = None
    on_run_completed: Kept | None = None
    input: Any = None
    metadata: Object | None = None
    config: Config | None = None
    context: Object | None = None
    webhook: str | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    multitask_strategy: str | None = None
    stream_mode: str | list[str] | None = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    durability: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: v for k, v in data.items() if v is not None or k in _CLEARED}
        return data


class Count(Body):
    """Which crons."""

    assistant_id: UUID | None = None
    thread_id: UUID | None = None
    enabled: bool | None = None
    metadata: Object | None = None

    def query(self) -> CronQuery:
        return CronQuery(self.assistant_id, self.thread_id, self.enabled, self.metadata)


class Search(Count, Paged):
    """Which crons, page by page."""

    sort_by: (
        Literal[
            "cron_id",
            "assistant_id",
            "thread_id",
            "next_run_date",
            "end_time",
            "created_at",
            "updated_at",
        ]
        | None
    ) = None


async def _sent(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:  # no body at all; what is sent, the model reads first
        raise Invalid(NO_JSON) from error


Sent = Annotated[Any, Depends(_sent)]
"""The body as it was sent."""


@router.post("/runs/crons")
async def create(body: Create, sent: Sent, access: Asks, engine: TheEngine) -> Json:
    return await _create(engine, access, None, sent)


@router.post("/threads/{thread_id}/runs/crons")
async def create_for_thread(
    thread_id: UUID, body: Create, sent: Sent, access: Asks, engine: TheEngine
) -> Json:
    return await _create(engine, access, thread_id, sent)


@router.post("/runs/crons/search")
async def search(body: Search, access: Asks, engine: TheEngine) -> Json:
    caller = await access("crons", "search", body.model_dump(exclude_none=True))
    found = await engine.crons.search(caller, body.query(), body.page(body.sort_by))
    return body.answer([render(cron) for cron in found], FIELDS)


@router.post("/runs/crons/count")
async def count(body: Count, access: Asks, engine: TheEngine) -> Json:
    caller = await access("crons", "search", body.model_dump(exclude_none=True))
    return Json(await engine.crons.count(caller, body.query()))


@router.get("/runs/crons/{cron_id}")
async def get(cron_id: UUID, access: Asks, engine: TheEngine) -> Json:
    caller = await access("crons", "read", {"cron_id": cron_id})
    return Json(render(await engine.crons.get(caller, cron_id)))


@router.patch("/runs/crons/{cron_id}")
async def update(cron_id: UUID, body: Update, sent: Sent, access: Asks, engine: TheEngine) -> Json:
    """Metadata is merged, everything else replaced."""
    changes = {name: value for name, value in sent.items() if name in _CLEARED or value is not None}
    if not sent:
        raise BadRequest("Request body cannot be empty")
    value: Object = {"cron_id": cron_id, "payload": changes, "schedule": body.schedule}
    caller = await access("crons", "update", value)
    changes = value["payload"]

    async def changed(cron: Cron) -> CronRequest:
        payload = {**cron.payload, **changes}
        if "metadata" in changes:
            payload["metadata"] = {**cron.metadata, **changes["metadata"]}
        _, asked = await _asked(engine, access, cron.thread_id, payload)
        return replace(asked, run=_like(cron, asked.run))

    return Json(render(await engine.crons.update(caller, cron_id, changed)))


@router.delete("/runs/crons/{cron_id}")
async def delete(cron_id: UUID, access: Asks, engine: TheEngine) -> Response:
    caller = await access("crons", "delete", {"cron_id": cron_id})
    await engine.crons.delete(caller, cron_id)
    return Response(status_code=204)


def render(cron: Cron) -> Object:
    """Why the latest tick made no run is told where there is a reason."""
    config = cron.payload.get("config") or {}
    configurable = {**(config.get("configurable") or {}), "cron_id": cron.cron_id}
    row = {name: getattr(cron, name, None) for name in FIELDS}
    due = cron.next_run_date
    return {
        **row,
        "user_id": cron.owner,
        "end_time": cron.payload.get("end_time"),
        "payload": {**cron.payload, "config": {**config, "configurable": configurable}},
        "next_run_date": due and bodies.moment(due, "seconds"),
        "created_at": bodies.moment(cron.created_at),
        "updated_at": bodies.moment(cron.updated_at),
        **({"last_error": cron.last_error} if cron.last_error else {}),
    }


async def _create(engine: Engine, access: Access, thread_id: UUID | None, sent: Object) -> Json:
    value: Object = {
        "payload": sent,
        "schedule": sent["schedule"],
        "thread_id": thread_id,
        "metadata": {**(sent.get("metadata") or {})},
        "end_time": moment(sent.get("end_time")),
    }
    caller = await access("crons", "create", value)
    if metadata := value.get("metadata"):
        value["payload"] = {**value["payload"], "metadata": metadata}
    runner, asked = await _asked(engine, access, thread_id, value["payload"])
    return Json(render(await engine.crons.create(caller, thread_id, asked, runs_as=runner)))


async def _asked(
    engine: Engine, access: Access, thread_id: UUID | None, payload: Object
) -> tuple[Caller, CronRequest]:
    """As whom the runs are asked for, and what the payload means."""
    try:
        body = Create.model_validate(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
    try:
        engine.assistants.identify(body.assistant_id)
    except Invalid as error:
        raise NotFound(f"Assistant '{body.assistant_id}' not found") from error
    schedule = Schedule(body.schedule, body.timezone, moment(body.end_time))
    kept: Kept | None = None if thread_id else body.on_run_completed or "delete"
    runner, run = await admitted(engine, access, thread_id, body, Headers(None, None))
    asked = CronRequest(
        schedule=schedule,
        run=replace(run, temporary=kept == "delete", request_id=""),
        payload=payload,
        metadata=body.metadata,
        enabled=body.enabled,
        on_run_completed=kept,
    )
    return runner, asked


def _like(cron: Cron, run: RunRequest) -> RunRequest:
    """With what was added to the metadata of the cron's runs and threads when it was created."""
    old = cron.run
    return replace(
        run,
        metadata={**run.metadata, **_added(cron, old.metadata)},
        thread_metadata={**run.thread_metadata, **_added(cron, old.thread_metadata)},
    )


def _added(cron: Cron, metadata: Mapping[str, Any]) -> Object:
    return {name: value for name, value in metadata.items() if name not in cron.metadata}
