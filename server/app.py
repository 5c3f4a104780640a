"""The composition root: everything is opened here, in order, and closed in reverse."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis
from starlette.middleware.cors import CORSMiddleware

from engine.database import Pool, migrate, open_pool
from engine.embedded import Servers, open_servers
from engine.graphs import Admit, Source
from engine.outbox import Follower
from engine.project.manifest import NO_PROJECT, Project
from engine.runtime import Engine, open_engine
from engine.settings import Settings
from server import (
    assistants,
    crons,
    errors,
    mcp,
    meta,
    protocol,
    store,
    webhooks,
)
from server.a2a import routes as a2a
from server.auth.authentication import Authentication, Door
from server.counting import Counting
from server.failing import Failing
from server.garbage import spare
from server.heads import Heads
from server.hosting import loopback
from server.hosting.beside import Beside
from server.hosting.cross_origin import cross_origin
from server.hosting.disabled import Disabled
from server.hosting.hosted import NOTHING, Hosted
from server.hosting.prefix import Prefix
from server.limits import Bodies, OpenStreams, RateLimit
from server.openapi import document, reference
from server.runs import routes as runs
from server.runs import stateless
from server.threads import routes as threads
from server.threads import state as thread_state
from server.threads import stream as thread_stream
from server.tracing import Requests

OpenGraphs = Callable[
    [Settings, Servers, Pool],
    AbstractAsyncContextManager[Mapping[str, Source]],
]
"""Opens what the graphs need and yields them by their id."""


Followers = Callable[[Pool], Mapping[str, Follower]]
"""What background work follows the graphs' runs, by the name of its jobs."""


def nothing_follows(pool: Pool) -> Mapping[str, Follower]:
    return {}


@asynccontextmanager
async def open_application(
    settings: Settings,
    open_graphs: OpenGraphs,
    admit: Mapping[str, Admit] | None = None,
    followers: Followers = nothing_follows,
    project: Project = NO_PROJECT,
) -> AsyncIterator[tuple[Engine, Redis]]:
    """Servers, tables, graphs, engine: what the API and a worker without API both run on."""
    async with open_servers(settings) as servers, open_pool(servers.database_url) as pool:
        await migrate(pool, "engine")
        async with (
            open_graphs(settings, servers, pool) as graphs,
            open_engine(
                settings,
                servers,
                pool,
                graphs,
                followers=followers(pool),
                admit=admit,
                project=project,
            ) as engine,
        ):
            yield engine, servers.redis


async def open_worker(
    settings: Settings,
    open_graphs: OpenGraphs,
    followers: Followers = nothing_follows,
    hosted: Hosted = NOTHING,
) -> None:
    """Execute runs, without an API, until the process is told to stop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    opening = open_application(settings, open_graphs, followers=followers, project=hosted.project)
    async with hosted.lifespan(), opening:
        spare()
        await stop.wait()


def create_app(
    settings: Settings,
    open_graphs: OpenGraphs,
    admit: Mapping[str, Admit] | None = None,
    followers: Followers = nothing_follows,
    door: Door | None = None,
    hosted: Hosted = NOTHING,
) -> FastAPI:
    """The ASGI app. It is usable while its lifespan is open; raises `ConfigError` for bad keys."""
    door = door or hosted.door(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with (
            hosted.lifespan() as state,
            open_application(settings, open_graphs, admit, followers, hosted.project) as (
                engine,
                redis,
            ),
        ):
            app.state.engine, app.state.redis, app.state.keys = engine, redis, engine.keys
            app.state.probe = meta.Probe(engine.pool)
            await door.warn(engine.keys)
            prefix = hosted.project.http.mount_prefix
            loopback.connect(app, prefix, handlers=door.handlers is not None)
            yield state

    app = FastAPI(
        title="Frontdesk",
        version=meta.API_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.handlers, app.state.hosted = door.handlers, hosted
    errors.install(app)
    for router in (  # they are tried in this order: the busiest first
        runs.router,
        stateless.router,
        threads.router,
        thread_state.router,
        thread_stream.router,
        meta.router,
        assistants.router,
        crons.router,
        store.router,
        webhooks.router,
        mcp.router,
        a2a.router,
        protocol.router,
        reference.router,
    ):
        app.include_router(router)
    _wrap(app, settings, door, hosted)
    document.describe(app)
    hosted.document(app)
    return app


def _wrap(app: FastAPI, settings: Settings, door: Door, hosted: Hosted) -> None:
    """Middleware, the innermost first."""
    app.add_middleware(Heads)
    http = hosted.project.http
    guard = partial(Authentication, door=door, max_bytes=settings.max_body_bytes)
    if hosted.disabled:
        app.add_middleware(Disabled, parts=hosted.disabled)
    app.add_middleware(Bodies, max_bytes=settings.max_body_bytes)
    app.add_middleware(OpenStreams, at_once=settings.max_streams)
    app.add_middleware(RateLimit, per_minute=settings.rate_limit)
    if hosted.app:
        app.add_middleware(Beside, ours=app, theirs=hosted.app, guard=guard, http=http)
    else:
        app.add_middleware(guard)
    app.add_middleware(Failing)
    app.add_middleware(Counting)
    app.add_middleware(Requests)
    app.add_middleware(CORSMiddleware, **cross_origin(http.cors))
    if http.mount_prefix:
        app.add_middleware(Prefix, prefix=http.mount_prefix)
