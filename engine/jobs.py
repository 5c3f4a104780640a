"""Background work by Procrastinate, in the same Postgres as everything else.

A job deferred on a transaction's connection exists if and only if the transaction commits. It is
done at least once: again after a failure, with growing pauses, and by another worker when its own
dies. What has failed too often, or for good, is kept as a dead letter.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import procrastinate
from procrastinate.exceptions import JobAborted
from procrastinate.jobs import Job
from psycopg import OperationalError

from checkpoints.background import beside
from engine.database import Connection, Pool, fetch_all, statements
from engine.errors import Permanent

log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[None]]
"""Called with the JSON arguments the job was deferred with; may be called twice.

Raises `Permanent` when trying again cannot help; whatever else it raises is tried again.
"""

_LOCK = 7_300_418
HINT = "hint"
_RUNS = "runs"
BACKGROUND = "background"
_LONGEST = 3600.0  # seconds between two attempts
_ERROR_CHARS = 500


@dataclass(frozen=True)
class Pace:
    """How jobs are tried: `attempts` at most, `first` seconds before the second, 4 times that
    before the third. A worker that is `silent` for so many seconds is dead; `poll` is how often
    jobs are looked for whose time has come; at a `stop` jobs at work get so long, then others do
    them.
    """

    attempts: int = 10
    first: float = 2.0
    silent: float = 30.0
    poll: float = 5.0
    stop: float = 5.0


@dataclass(frozen=True)
class DeadLetter:
    """A job that nobody tries any more. `at` is when it failed last."""

    id: int
    kind: str
    key: str | None
    attempts: int
    at: datetime | None
    error: str | None


class _Retry(procrastinate.BaseRetryStrategy):
    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def get_retry_decision(
        self, *, exception: BaseException, job: Job
    ) -> procrastinate.RetryDecision | None:
        if isinstance(exception, (asyncio.CancelledError, JobAborted)):
            return procrastinate.RetryDecision()  # the process stops: another one goes on
        if isinstance(exception, Permanent) or job.attempts + 1 >= self._pace.attempts:
            return None
        pause = min(self._pace.first * 4**job.attempts, _LONGEST)
        pause *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, guards nothing
        return procrastinate.RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=pause))


class Jobs:
    """Defers jobs by the name of their handler, does them, and keeps those that failed."""

    def __init__(self, app: procrastinate.App, pool: Pool, pace: Pace) -> None:
        self._app = app
        self._pool = pool
        self._pace = pace
        self._sql = statements("engine", "jobs.sql")

    def register(self, name: str, handler: Handler) -> None:
        """Make `handler` do the jobs called `name`, retried with growing pauses when it raises."""

        async def do(context: procrastinate.JobContext, /, **args: Any) -> None:
            if context.job.queueing_lock:
                await self._execute("unlock", job_id=context.job.id)
            try:
                await handler(**args)
            except Exception as error:
                said = f"{type(error).__name__}: {error}".replace("\0", "")[:_ERROR_CHARS]
                with suppress(OperationalError):
                    await self._execute("failed", job_id=context.job.id, error=said)
                raise

        self._app.task(name=name, queue=BACKGROUND, retry=_Retry(self._pace), pass_context=True)(do)

    def register_hints(self, handler: Handler) -> None:
        """Make `handler` take hints, each once: the next sweep repeats what a lost one said."""
        self._app.task(name=HINT, queue=_RUNS)(handler)

    async def defer(self, conn: Connection, name: str, **args: Any) -> None:
        """Have job `name` done after this transaction commits."""
        await self._app.configure_task(name, connection=conn, queue=self._queue(name)).defer_async(
            **args
        )

    async def dead(self) -> list[DeadLetter]:
        """The jobs that failed too often or for good, the oldest first."""
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, self._sql["dead"], {"queue": BACKGROUND})
        return [DeadLetter(**row) for row in rows]

    async def replay(self, ids: Sequence[int] | None = None) -> list[int]:
        """Have dead letters (None: all) tried again from the beginning; returns their ids."""
        args = {"queue": BACKGROUND, "ids": None if ids is None else list(ids)}
        async with self._pool.connection() as conn:
            return [row["id"] for row in await fetch_all(conn, self._sql["replay"], args)]

    @asynccontextmanager
    async def work(self, *, hints: int, background: int) -> AsyncIterator[None]:
        """Do jobs while the block is open: so many at a time, 0 for none."""
        patience = self._pace.stop + 1
        async with AsyncExitStack() as stack:
            for queue, concurrency in ((_RUNS, hints), (BACKGROUND, background)):
                if concurrency:
                    work = self._work_for_ever(queue, concurrency)
                    await stack.enter_async_context(beside(work, queue, patience=patience))
            sweep = beside(self._sweep_for_ever(), "the sweep of jobs", patience=patience)
            await stack.enter_async_context(sweep)
            yield

    def _queue(self, name: str) -> str:
        return _RUNS if name == HINT else BACKGROUND

    async def _work_for_ever(self, queue: str, concurrency: int) -> None:
        """A worker stops when it loses the database: then another one begins."""
        while True:
            try:
                await self._app.run_worker_async(
                    queues=[queue],
                    name=queue,
                    concurrency=concurrency,
                    install_signal_handlers=False,
                    shutdown_graceful_timeout=self._pace.stop,
                    fetch_job_polling_interval=self._pace.poll,
                    update_heartbeat_interval=self._pace.silent / 3,
                    stalled_worker_timeout=2 * self._pace.silent,
                    delete_jobs="always" if queue == _RUNS else "successful",
                )
            except Exception as error:  # noqa: BLE001 - a supervisor: whatever it was, go on
                log.warning("the worker of queue %s failed (%s)", queue, error)
            log.warning("the worker of queue %s has stopped: starting it again", queue)
            await asyncio.sleep(1)

    async def _sweep_for_ever(self) -> None:
        pace = self._pace
        args = {"queue": BACKGROUND, "silent": pace.silent, "attempts": pace.attempts}
        while True:
            await asyncio.sleep(pace.silent / 3 * random.uniform(0.8, 1.2))  # noqa: S311 - spreads
            try:
                await self._execute("revive", **args)
                await self._execute("tidy", silent=pace.silent)
            except OperationalError as error:
                log.warning("stalled jobs cannot be looked for (%s)", error)

    async def _execute(self, name: str, **args: Any) -> None:
        async with self._pool.connection() as conn:
            await conn.execute(self._sql[name], args)


@asynccontextmanager
async def open_jobs(
    pool: Pool, database_url: str, handlers: Mapping[str, Handler], pace: Pace | None = None
) -> AsyncIterator[Jobs]:
    """Jobs on this database, whose tables are made when they are missing."""
    connector = procrastinate.PsycopgConnector(
        conninfo=database_url, min_size=1, max_size=4, kwargs={"prepare_threshold": None}
    )
    app = procrastinate.App(connector=connector)
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        cursor = await conn.execute("select to_regclass('procrastinate_jobs') is null as missing")
        row = await cursor.fetchone()
        if row and row["missing"]:
            await conn.execute(app.schema_manager.get_schema())
    async with app.open_async():
        jobs = Jobs(app, pool, pace or Pace())
        for name, handler in handlers.items():
            jobs.register(name, handler)
        yield jobs
