"""The engine as a whole: everything that runs graphs, opened together and closed together."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from langgraph.store.base import BaseStore

from checkpoints.background import beside
from engine.admission import Admission, Limits
from engine.assistants import Assistants
from engine.backlog import Backlog
from engine.checkpointing import kind, open_checkpointer
from engine.claims import Claims
from engine.crons import Crons
from engine.database import Pool
from engine.dispatch import Dispatcher
from engine.embedded import Servers
from engine.ending import Endings
from engine.events import Events
from engine.execution import Executor
from engine.expiry import Expiry
from engine.exporting import open_telemetry
from engine.fence import Fence
from engine.graphs import Admit, Graphs, Source
from engine.jobs import Jobs, Pace, open_jobs
from engine.keys import ApiKeys
from engine.lease import Lease
from engine.loopwatch import LoopWatch
from engine.memory import open_memory
from engine.metrics import Metrics
from engine.outbox import Follower, Outbox
from engine.project.manifest import NO_PROJECT, Project
from engine.protocol.commands import Commands
from engine.protocol.stream import ThreadStreams
from engine.runs import Runs
from engine.settings import Settings
from engine.signing import Signer
from engine.state import States
from engine.targets import Targets
from engine.tasks import Tasks
from engine.telemetry import Tracing
from engine.threads import Threads
from engine.ticks import Ticks
from engine.unknown import Unknowns
from engine.watch import Watch
from engine.webhooks import Deliveries, Webhooks

log = logging.getLogger(__name__)

_HINTS = 4  # hints taken at once: each only claims
_BACKGROUND = 4
_PAUSE_SECONDS = 1.0  # before a service that has failed begins anew


@dataclass(frozen=True)
class Engine:
    """What the server calls."""

    assistants: Assistants
    threads: Threads
    states: States
    runs: Runs
    crons: Crons
    tasks: Tasks
    watch: Watch
    graphs: Graphs
    store: BaseStore
    jobs: Jobs
    keys: ApiKeys
    webhooks: Webhooks
    deliveries: Deliveries
    metrics: Metrics
    tracing: Tracing
    loop: LoopWatch
    backlog: Backlog
    claims: Claims
    pool: Pool
    dispatcher: Dispatcher
    events: Events
    streams: ThreadStreams
    commands: Commands
    drain_seconds: float

    async def drain(self) -> None:
        """Take no more runs, hand over what is at work, end what is followed here."""
        await self.dispatcher.drain(self.drain_seconds)
        self.events.dismiss()


@asynccontextmanager
async def open_engine(
    settings: Settings,
    servers: Servers,
    pool: Pool,
    graphs: Mapping[str, Source],
    *,
    followers: Mapping[str, Follower] | None = None,
    admit: Mapping[str, Admit] | None = None,
    project: Project = NO_PROJECT,
) -> AsyncIterator[Engine]:
    """Compile the graphs and, unless the role is `api`, execute runs and background jobs.

    `followers` are the background work after runs, by the name of its jobs; `admit` is the door of
    a graph, by its id: what it makes of an input is what is stored; `project` is what a file says
    of the store, of webhooks and of the graphs. The tables must be there. On exit, runs at work get
    `drain_seconds` and are then handed over. Raises `ConfigError`.
    """
    webhooks = _webhooks(settings, project, pool)
    outbox = Outbox({"webhook": webhooks.follower, **(followers or {})})
    database_url, alone = servers.database_url, kind(settings, servers) == "redis"
    fence = Fence(None if alone else settings.checkpoint_schema)
    async with AsyncExitStack() as stack:
        checkpointer = await stack.enter_async_context(open_checkpointer(settings, servers))
        store = await stack.enter_async_context(open_memory(project, settings, pool))
        handlers = {name: follower.handler for name, follower in outbox.followers.items()}
        pace = Pace(settings.job_attempts, settings.job_retry_seconds)
        jobs = await stack.enter_async_context(open_jobs(pool, database_url, handlers, pace))
        events, compiled = Events(servers.redis), Graphs(graphs, checkpointer, store, admit)
        await compiled.try_factories()
        stack.push_async_callback(events.close)
        worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        terms = (worker, settings.lease_seconds, settings.tenant_runs)
        claims = Claims(pool, jobs, fence, *terms, outbox)
        metrics = Metrics()
        exported = open_telemetry(settings, metrics.registry, worker)
        tracing = await stack.enter_async_context(exported)
        metrics.checkpoint_bytes.set_function(lambda: checkpointer.bytes_written)
        metrics.event_bytes.set_function(lambda: events.bytes_written)
        loop = await stack.enter_async_context(_watched(metrics, settings.loop_block_seconds))
        dispatcher = _dispatcher(settings, claims, compiled, events, metrics, tracing, loop)
        limits = Limits(settings.max_waiting, settings.tenant_max_waiting, settings.max_lag_seconds)
        admission = Admission(claims, limits, lambda: loop.lag)
        engine = _engine(
            pool,
            jobs,
            webhooks,
            events,
            compiled,
            fence,
            claims,
            dispatcher,
            admission,
            loop,
            settings.drain_seconds,
        )
        expiry = Expiry(pool, engine.threads, checkpointer)
        await expiry.begin(settings)
        await engine.assistants.register_graphs(project.descriptions)
        await stack.enter_async_context(_in_background(events.listen, "events"))
        if settings.role != "api":
            lease = Lease(database_url, worker, settings.lease_seconds, dispatcher.on_beat)
            sweeping = partial(expiry.sweep_for_ever, settings.thread_sweep_minutes)
            await stack.enter_async_context(_in_background(sweeping, "expiry"))
            await stack.enter_async_context(
                _working(
                    settings, dispatcher, jobs, lease, Unknowns(pool), Ticks(pool, engine.runs)
                )
            )
        yield engine


def _webhooks(settings: Settings, project: Project, pool: Pool) -> Webhooks:
    url = project.webhooks.url
    targets = Targets(
        private=settings.webhook_private,
        own=None if url.disable_loopback else settings.url + project.http.mount_prefix,
        require_https=url.require_https,
        domains=url.allowed_domains or (),
        ports=url.allowed_ports or (),
        max_length=url.max_url_length,
    )
    return Webhooks(
        pool,
        targets,
        Signer.of(settings.webhook_secret.get_secret_value()),
        project.webhook_headers(),
        settings.webhook_timeout,
        sent=not project.http.disable_webhooks,
    )


def _dispatcher(
    settings: Settings,
    claims: Claims,
    graphs: Graphs,
    events: Events,
    metrics: Metrics,
    tracing: Tracing,
    loop: LoopWatch,
) -> Dispatcher:
    return Dispatcher(
        claims,
        Executor(
            graphs,
            loop,
            metrics,
            prices=settings.prices,
            threaded=graphs.threaded(settings.threaded_nodes),
            seconds=settings.run_seconds,
        ),
        Endings(graphs),
        events,
        metrics,
        tracing,
        slots=0 if settings.role == "api" else settings.slots,
        sweep_seconds=settings.lease_seconds / 3,
    )


def _engine(
    pool: Pool,
    jobs: Jobs,
    webhooks: Webhooks,
    events: Events,
    graphs: Graphs,
    fence: Fence,
    claims: Claims,
    dispatcher: Dispatcher,
    admission: Admission,
    loop: LoopWatch,
    drain_seconds: float,
) -> Engine:
    assistants = Assistants(pool, graphs)
    threads = Threads(pool, events, graphs.checkpointer, fence)
    runs = Runs(pool, jobs, events, threads, assistants, graphs, claims, dispatcher, admission)
    streams = ThreadStreams(pool, events)
    return Engine(
        assistants=assistants,
        threads=threads,
        states=States(threads, graphs, runs.stopping),
        runs=runs,
        crons=Crons(pool, assistants, threads, graphs),
        tasks=Tasks(pool),
        watch=Watch(runs, threads, events),
        graphs=graphs,
        store=graphs.memory,
        jobs=jobs,
        keys=ApiKeys(pool),
        webhooks=webhooks,
        deliveries=Deliveries(pool, jobs),
        metrics=dispatcher.metrics,
        tracing=dispatcher.tracing,
        loop=loop,
        backlog=Backlog(pool, dispatcher.metrics),
        claims=claims,
        pool=pool,
        dispatcher=dispatcher,
        events=events,
        streams=streams,
        commands=Commands(threads, streams),
        drain_seconds=drain_seconds,
    )


@asynccontextmanager
async def _working(
    settings: Settings,
    dispatcher: Dispatcher,
    jobs: Jobs,
    lease: Lease,
    unknowns: Unknowns,
    ticks: Ticks,
) -> AsyncIterator[None]:
    jobs.register_hints(dispatcher.hint)
    dispatcher.keep_alive_with(lease)
    lease.start()
    try:
        async with (
            jobs.work(hints=_HINTS, background=_BACKGROUND),
            _in_background(dispatcher.sweep_for_ever, "dispatch"),
            _in_background(unknowns.escalate_for_ever, "unknown effects"),
            _in_background(ticks.fire_for_ever, "crons"),
        ):
            yield
        await dispatcher.drain(settings.drain_seconds)
    finally:
        await lease.stop()


@asynccontextmanager
async def _watched(metrics: Metrics, seconds: float) -> AsyncIterator[LoopWatch]:
    loop = LoopWatch(metrics, seconds)
    loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


def _in_background(
    work: Callable[[], Awaitable[None]], name: str
) -> AbstractAsyncContextManager[None]:
    return beside(_for_ever(work), name)


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Should it fail it begins anew."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a background service has failed: it begins anew")
        await asyncio.sleep(_PAUSE_SECONDS)
