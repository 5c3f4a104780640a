"""A process to be killed: the API and the worker, or one of them, on the graphs of the campaign."""

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn

from engine.settings import Role, Settings
from server.app import create_app, open_worker
from tests.chaos.graphs import open_graphs
from tests.checkpoints.crash.servers import die_with_parent

LEASE_SECONDS = 2.0


@dataclass(frozen=True)
class Plan:
    """What to serve, where, and on which servers."""

    role: Role
    port: int
    database_url: str
    redis_url: str
    remotes: str
    log: Path
    data: Path


def serve(plan: Plan) -> None:
    """Until killed or told to stop. What it says is in the plan's log."""
    die_with_parent()
    out = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    settings = Settings(
        _env_file=None,
        role=plan.role,
        port=plan.port,
        database_url=plan.database_url,
        redis_url=plan.redis_url,
        data=plan.data,
        slots=24,
        lease_seconds=LEASE_SECONDS,
        drain_seconds=0.5,
        demo=False,
    )
    graphs = partial(open_graphs, plan.remotes)
    if plan.role == "worker":
        asyncio.run(open_worker(settings, graphs))
    else:
        uvicorn.run(
            create_app(settings, graphs),
            port=plan.port,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
