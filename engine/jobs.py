"""Background work by Procrastinate, in the same Postgres as everything else.

A job deferred on a transaction's connection exists if and only if the transaction commits.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import procrastinate

from engine.database import Connection, Pool

Handler = Callable[..., Awaitable[None]]
"""Called with the JSON arguments the job was deferred with; may be called twice."""

_LOCK = 7_300_418
HINT = "hint"
_RUNS = "runs"
BACKGROUND = "background"


class Jobs:
    """Defers jobs by the name of their handler."""

    def __init__(self, app: procrastinate.App) -> None:
        self._app = app

    def register(self, name: str, handler: Handler) -> None:
        """Make `handler` do the jobs called `name`, retried with growing pauses when it raises."""
        retry = procrastinate.RetryStrategy(max_attempts=8, exponential_wait=5)
        self._app.task(name=name, queue=BACKGROUND, retry=retry)(handler)

    def register_hints(self, handler: Handler) -> None:
        """Make `handler` take hints, each once: the next sweep repeats what a lost one said."""
        self._app.task(name=HINT, queue=_RUNS)(handler)

    async def defer(self, conn: Connection, name: str, **args: Any) -> None:
        """Have job `name` done after this transaction commits."""
        await self._app.configure_task(name, connection=conn, queue=self._queue(name)).defer_async(
            **args
        )

    def _queue(self, name: str) -> str:
        return _RUNS if name == HINT else BACKGROUND

    @asynccontextmanager
    async def work(self, *, hints: int, background: int) -> AsyncIterator[None]:
        """Do jobs while the block is open: so many at a time, 0 for none."""
        async with AsyncExitStack() as stack:
            for queue, concurrency in ((_RUNS, hints), (BACKGROUND, background)):
                if concurrency:
                    await stack.enter_async_context(self._worker(queue, concurrency))
            yield

    @asynccontextmanager
    async def _worker(self, queue: str, concurrency: int) -> AsyncIterator[None]:
        task = asyncio.create_task(
            self._app.run_worker_async(
                queues=[queue],
                name=queue,
                concurrency=concurrency,
                install_signal_handlers=False,
                delete_jobs="always" if queue == _RUNS else "successful",
            )
        )
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


@asynccontextmanager
async def open_jobs(
    pool: Pool, database_url: str, handlers: Mapping[str, Handler]
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
        jobs = Jobs(app)
        for name, handler in handlers.items():
            jobs.register(name, handler)
        yield jobs
