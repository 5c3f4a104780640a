"""Serves the sample graphs over a real socket: in this process, or alone as another one.

Alone: `python -m tests.fakes.serving PORT`, on DATABASE_URL and REDIS_URL.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from langgraph.graph.state import StateGraph

from engine import logs
from engine.database import Pool
from engine.embedded import Servers
from engine.settings import Settings
from server.app import create_app, open_worker
from server.listener import Listener
from tests.fakes.graphs import GRAPHS, complaint, obedient, record
from tests.fakes.nested import NESTED


@asynccontextmanager
async def sample_graphs(
    settings: Settings, servers: Servers, pool: Pool
) -> AsyncIterator[Mapping[str, StateGraph[Any, Any, Any, Any]]]:
    theirs = {"obedient": obedient(), "record": record(pool), "complaint": complaint(pool)}
    yield {**GRAPHS, **NESTED, **theirs}


@asynccontextmanager
async def serving(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    """The app's URL while it is served, on a free port."""
    server = Listener(app, port=port)
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


if __name__ == "__main__":
    chosen = Settings(_env_file=None)
    logs.configure(chosen)
    if chosen.role == "worker":
        asyncio.run(open_worker(chosen, sample_graphs))
    else:
        Listener(create_app(chosen, sample_graphs), port=int(sys.argv[1])).run()
