"""/ok, /info, /metrics: what operators and clients ask first."""

from importlib.metadata import version

from fastapi import APIRouter
from starlette.responses import Response

from engine.errors import Unavailable
from server.bodies import Json, TheEngine

router = APIRouter(tags=["System"])

API_VERSION = "0.16.7"
"""The LangGraph Server API that this one speaks; clients refuse to talk to old ones."""


@router.get("/")
@router.get("/ok")
async def ok(engine: TheEngine, *, check_db: bool = False) -> Json:
    if engine.dispatcher.stopping:
        raise Unavailable("This process stops.")
    if check_db:
        async with engine.pool.connection() as conn:
            await conn.execute("select 1")
    return Json({"ok": True, "services": {}})


@router.get("/info")
async def info() -> Json:
    return Json(
        {
            "version": API_VERSION,
            "langgraph_py_version": version("langgraph"),
            "frontdesk_version": version("frontdesk"),
            "flags": {"assistants": True, "crons": False, "langsmith": False},
            "host": {
                "kind": "self-hosted",
                "project_id": None,
                "host_revision_id": None,
                "revision_id": None,
                "tenant_id": None,
            },
        }
    )


@router.get("/metrics")
async def metrics(engine: TheEngine, *, format: str = "prometheus") -> Response:  # noqa: A002 - the API's name
    await engine.backlog.refresh()
    if format != "json":
        return Response(engine.metrics.text(), media_type="text/plain; version=0.0.4")
    queue = await engine.claims.queue()
    return Json({"queue": queue, **engine.metrics.snapshot()})
