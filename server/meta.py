"""/ok, /info, /metrics: what operators and clients ask first."""

import asyncio
import time
from importlib.metadata import version

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from engine.database import Pool
from engine.errors import Unavailable
from server.bodies import Json, TheEngine

router = APIRouter(tags=["System"])

API_VERSION = "0.16.7"
"""The LangGraph Server API that this one speaks; clients refuse to talk to old ones."""

_PROBED_SECONDS = 1.0


class Probe:
    """Whether the database answers. Anybody may ask, so those who ask together ask once."""

    def __init__(self, pool: Pool, seconds: float = _PROBED_SECONDS) -> None:
        """`seconds`: how old an answer may be."""
        self._pool = pool
        self._seconds = seconds
        self._asked: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")

    async def ask(self) -> None:
        """Raises what the database raised."""
        rested = time.monotonic() - self._asked_at >= self._seconds
        if self._asked is None or (self._asked.done() and rested):
            self._asked = asyncio.create_task(self._ask())
            self._asked_at = time.monotonic()
        await asyncio.shield(self._asked)

    async def _ask(self) -> None:
        async with self._pool.connection() as conn:
            await conn.execute("select 1")


@router.get("/")
@router.get("/ok")
async def ok(request: Request, engine: TheEngine, *, check_db: bool = False) -> Json:
    if engine.dispatcher.stopping:
        raise Unavailable("This process stops.")
    if check_db:
        await request.app.state.probe.ask()
    return Json({"ok": True, "services": {}})


@router.get("/info")
async def info(request: Request) -> Json:
    gone = request.app.state.hosted.disabled
    return Json(
        {
            "version": API_VERSION,
            "langgraph_py_version": version("langgraph"),
            "frontdesk_version": version("frontdesk"),
            "flags": {
                "assistants": "assistants" not in gone,
                "crons": "crons" not in gone,
                "langsmith": False,
                "langsmith_tracing_replicas": False,
                "langsmith_tracing_session_on_runs": False,
            },
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
    return Json({"queue": engine.backlog.queue, **engine.metrics.snapshot()})


@router.post("/ui/{graph_id}", include_in_schema=False)
async def ui(graph_id: str) -> Response:
    """No graph brings components of a user interface; clients go on without."""
    return PlainTextResponse(f"UI not found for graph '{graph_id}'", status_code=404)
