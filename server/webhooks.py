"""How far the webhooks of runs are."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from engine.webhooks import Delivery, State
from server.auth.access import Asks
from server.bodies import Json, Object, TheEngine, moment

router = APIRouter(tags=["Webhooks"])


@router.get("/webhooks")
async def listed(
    access: Asks,
    engine: TheEngine,
    state: State | None = None,
    run_id: Annotated[list[UUID] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Json:
    """Those of the last 30 days, the latest first; also of runs and threads that are gone."""
    caller = await access("threads", "search", {"metadata": {}, "limit": limit, "offset": offset})
    found = await engine.deliveries.listed(
        caller, state=state, run_ids=run_id, limit=limit, offset=offset
    )
    return Json([render(delivery) for delivery in found])


@router.get("/threads/{thread_id}/runs/{run_id}/webhooks")
async def of_run(thread_id: UUID, run_id: UUID, access: Asks, engine: TheEngine) -> Json:
    """One, also of a run that is gone; none when the run has no webhook or is not over."""
    caller = await access("threads", "read", {"thread_id": thread_id, "run_id": run_id})
    found = await engine.deliveries.of_run(caller, thread_id, run_id)
    if not found:
        await engine.runs.get(caller, thread_id, run_id)  # is it there at all?
    return Json([render(delivery) for delivery in found])


@router.post("/threads/{thread_id}/runs/{run_id}/webhooks/replay")
async def replay(thread_id: UUID, run_id: UUID, access: Asks, engine: TheEngine) -> Json:
    """Have a failed one tried again from the beginning."""
    value = {"thread_id": thread_id, "run_id": run_id, "metadata": {}}
    caller = await access("threads", "update", value)
    return Json(render(await engine.deliveries.replay(caller, thread_id, run_id)))


def render(delivery: Delivery) -> Object:
    """As dictionaries; times in ISO 8601."""
    row = {name: value for name, value in asdict(delivery).items() if name != "job_id"}
    for name in ("created_at", "delivered_at", "next_attempt_at"):
        row[name] = row[name] and moment(row[name])
    return row
