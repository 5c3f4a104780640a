"""The composition root: everything is opened here, in order, and closed in reverse."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from langgraph.graph.state import StateGraph
from redis.asyncio import Redis
from starlette.middleware.cors import CORSMiddleware

from engine.database import Pool, migrate, open_pool
from engine.embedded import Servers, open_servers
from engine.graphs import Admit
from engine.outbox import Follower
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from server import assistants, errors, meta, runs, threads
from server.auth import Authentication, Keys
from server.counting import Counting
from server.garbage import spare
from server.limits import Bodies, RateLimit
from server.tracing import Requests

OpenGraphs = Callable[
    [Settings, Servers, Pool],
    AbstractAsyncContextManager[Mapping[str, "StateGraph[Any, Any, Any, Any]"]],
]
"""Opens what the graphs need and yields them, uncompiled, by their id."""


Followers = Callable[[Pool], Mapping[str, Follower]]
"""What background work follows the graphs' runs, by the name of its jobs."""


def _none(pool: Pool) -> Mapping[str, Follower]:
    return {}


@asynccontextmanager
async def open_application(
    settings: Settings,
    open_graphs: OpenGraphs,
    admit: Mapping[str, Admit] | None = None,
    followers: Followers = _none,
) -> AsyncIterator[tuple[Engine, Redis]]:
    """Servers, tables, graphs, engine: what the API and a worker without API both run on."""
    async with open_servers(settings) as servers, open_pool(servers.database_url) as pool:
        await migrate(pool, "engine")
        async with (
            open_graphs(settings, servers, pool) as graphs,
            open_engine(
                settings, servers, pool, graphs, followers=followers(pool), admit=admit
            ) as engine,
        ):
            yield engine, servers.redis


async def open_worker(
    settings: Settings, open_graphs: OpenGraphs, followers: Followers = _none
) -> None:
    """Execute runs, without an API, until the process is told to stop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_application(settings, open_graphs, followers=followers):
        spare()
        await stop.wait()


def create_app(
    settings: Settings,
    open_graphs: OpenGraphs,
    admit: Mapping[str, Admit] | None = None,
    followers: Followers = _none,
) -> FastAPI:
    """The ASGI app. It is usable while its lifespan is open; raises `ConfigError` for bad keys."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_application(settings, open_graphs, admit, followers) as (engine, redis):
            app.state.engine, app.state.redis = engine, redis
            yield

    app = FastAPI(title="Frontdesk", version=meta.API_VERSION, lifespan=lifespan, redoc_url=None)
    errors.install(app)
    for router in (
        meta.router,
        assistants.router,
        threads.router,
        runs.threaded,
        runs.stateless,
    ):
        app.include_router(router)
    _wrap(app, settings)
    return app


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Middleware, the innermost first."""
    app.add_middleware(Bodies, max_bytes=settings.max_body_bytes)
    app.add_middleware(RateLimit, per_minute=settings.rate_limit)
    app.add_middleware(Authentication, keys=Keys(settings))
    app.add_middleware(Counting)
    app.add_middleware(Requests)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["*"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=["x-pagination-total", "x-pagination-next", "content-location", "location"],
    )
