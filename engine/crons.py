"""Crons: runs that are asked for again and again, when their schedule says so."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.errors import ForeignKeyViolation
from psycopg.rows import DictRow

from engine import config
from engine.assistants import Assistants
from engine.caller import Caller
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.errors import Forbidden, Invalid, NotFound
from engine.graphs import Graphs
from engine.ids import new_id
from engine.pages import Page
from engine.runs import RunRequest
from engine.schedule import Schedule
from engine.serialise import column
from engine.threads import Threads

SORTABLE = (
    "cron_id",
    "assistant_id",
    "thread_id",
    "next_run_date",
    "end_time",
    "created_at",
    "updated_at",
)


@dataclass(frozen=True)
class CronRequest:
    """What a client may ask for: `run`, at the moments of `schedule`.

    `payload` is all of it as it was sent; without a thread each run gets one of its own, which goes
    with it unless `on_run_completed` is `keep`.
    """

    schedule: Schedule
    run: RunRequest
    payload: Mapping[str, Any]
    metadata: Mapping[str, Any]
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] | None = None


@dataclass(frozen=True)
class Cron:
    """A row of `frontdesk.crons`. `next_run_date` is None when no run will come any more."""

    cron_id: UUID
    owner: str
    assistant_id: UUID
    thread_id: UUID | None
    schedule: str
    timezone: str | None
    end_time: datetime | None
    enabled: bool
    on_run_completed: Literal["delete", "keep"] | None
    metadata: dict[str, Any]
    payload: dict[str, Any]
    request: dict[str, Any]
    runs_as: dict[str, Any]
    next_run_date: datetime | None
    last_error: dict[str, str] | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: DictRow) -> "Cron":
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})

    @property
    def moments(self) -> Schedule:
        return Schedule(self.schedule, self.timezone, self.end_time)

    @property
    def caller(self) -> Caller:
        """As whom its runs are asked for."""
        return Caller(**_known(Caller, self.runs_as))

    @property
    def run(self) -> RunRequest:
        return RunRequest(**_known(RunRequest, self.request))


@dataclass(frozen=True)
class CronQuery:
    """Which crons: all of it must match."""

    assistant_id: UUID | None = None
    thread_id: UUID | None = None
    enabled: bool | None = None
    metadata: Mapping[str, Any] | None = None


class Crons:
    """The crons that a caller can see. All of it raises `Forbidden` for a public key."""

    def __init__(
        self, pool: Pool, assistants: Assistants, threads: Threads, graphs: Graphs
    ) -> None:
        self._pool = pool
        self._assistants = assistants
        self._threads = threads
        self._graphs = graphs
        self._sql = statements("engine", "crons.sql")

    async def create(
        self,
        caller: Caller,
        thread_id: UUID | None,
        asked: CronRequest,
        *,
        runs_as: Caller | None = None,
    ) -> Cron:
        """Its runs are asked for as `runs_as`, or the caller.

        Raises `NotFound` for an unknown assistant or thread, `Invalid` and `BadRequest` for what no
        run can be asked for.
        """
        sight = _sight(caller)
        asked.schedule.check()
        runner = runs_as or caller
        assistant_id = await self._assistant(runner, asked.run)
        args = {
            **sight,
            **_columns(asked, assistant_id),
            "cron_id": new_id(),
            "owner": caller.identity,
            "thread_id": thread_id,
            "runs_as": column(runner),
            "next_run_date": asked.schedule.next(datetime.now(UTC)),
        }
        try:
            if thread_id:
                await self._threads.get(runner, thread_id)
            async with self._pool.connection() as conn:
                row = await fetch_one(conn, self._sql["insert"], args)
        except (NotFound, ForeignKeyViolation) as error:
            raise NotFound(
                f"Thread with ID '{thread_id}' not found. Please verify the ID is correct and the "
                "thread hasn't been deleted or expired."
            ) from error
        return Cron.of(_there(row))

    async def get(self, caller: Caller, cron_id: UUID) -> Cron:
        """Raises `NotFound`."""
        return await self._get(caller, cron_id)

    async def update(
        self, caller: Caller, cron_id: UUID, change: Callable[[Cron], Awaitable[CronRequest]]
    ) -> Cron:
        """Make of the cron what `change` says of it as it is; as whom it runs stays as it was.

        Raises `NotFound`, and what `create` raises.
        """
        while True:
            cron = await self._get(caller, cron_id, f"Cron '{cron_id}' not found")
            asked = await change(cron)
            asked.schedule.check()
            same = column(asked.run) == column(cron.request)
            assistant_id = cron.assistant_id
            if not same:
                assistant_id = await self._assistant(cron.caller, asked.run)
            args = {
                **_columns(asked, assistant_id),
                "cron_id": cron_id,
                "next_run_date": _next(cron, asked),
                "seen": cron.updated_at,
            }
            async with self._pool.connection() as conn:
                if row := await fetch_one(conn, self._sql["update"], args):
                    return Cron.of(row)

    async def delete(self, caller: Caller, cron_id: UUID) -> None:
        """Runs that it has begun go on. Raises `NotFound`."""
        async with self._pool.connection() as conn:
            args = {**_sight(caller), "cron_id": cron_id}
            _there(await fetch_one(conn, self._sql["delete"], args))

    async def search(self, caller: Caller, query: CronQuery, page: Page) -> list[Cron]:
        sql = self._sql["search"] + page.clause(SORTABLE, default="created_at", tie="cron_id")
        async with self._pool.connection() as conn:
            rows = await fetch_all(conn, sql, _filter(caller, query))
        return [Cron.of(row) for row in rows]

    async def count(self, caller: Caller, query: CronQuery) -> int:
        async with self._pool.connection() as conn:
            row = await fetch_one(conn, self._sql["count"], _filter(caller, query))
        return int(_there(row)["count"])

    async def _get(self, caller: Caller, cron_id: UUID, missing: str | None = None) -> Cron:
        async with self._pool.connection() as conn:
            args = {**_sight(caller), "cron_id": cron_id}
            return Cron.of(_there(await fetch_one(conn, self._sql["get"], args), missing))

    async def _assistant(self, caller: Caller, run: RunRequest) -> UUID:
        """The assistant's id, if such a run can be asked for now."""
        seeing = replace(caller, filter=run.assistant_filter)
        try:
            assistant = await self._assistants.resolve(seeing, run.assistant_id, fresh=True)
        except (NotFound, Invalid) as error:
            raise NotFound(f"Assistant '{run.assistant_id}' not found") from error
        _, context = config.merge(assistant, run.config, run.context)
        self._graphs.context(assistant.graph_id, context)
        return assistant.assistant_id


def _sight(caller: Caller) -> dict[str, Any]:
    if not caller.lists:
        raise Forbidden("A public key cannot schedule runs.")
    return caller.sight


def _filter(caller: Caller, query: CronQuery) -> dict[str, Any]:
    return {
        **_sight(caller),
        "assistant_id": query.assistant_id,
        "thread_id": query.thread_id,
        "enabled": query.enabled,
        "metadata": column(query.metadata or {}),
    }


def _columns(asked: CronRequest, assistant_id: UUID) -> dict[str, Any]:
    return {
        "assistant_id": assistant_id,
        "schedule": asked.schedule.text,
        "timezone": asked.schedule.timezone,
        "end_time": asked.schedule.end,
        "enabled": asked.enabled,
        "on_run_completed": asked.on_run_completed,
        "metadata": column(asked.metadata),
        "payload": column({**asked.payload, "assistant_id": str(assistant_id)}),
        "request": column(replace(asked.run, assistant_id=str(assistant_id))),
    }


def _next(cron: Cron, asked: CronRequest) -> datetime | None:
    """A tick that is due stays due, unless the cron was paused or has other times now."""
    if asked.schedule == cron.moments and asked.enabled == cron.enabled:
        return cron.next_run_date
    return asked.schedule.next(datetime.now(UTC))


def _known(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What of `values`, which an older release may have written, the dataclass has fields for."""
    names = {one.name for one in fields(cls)}
    return {name: value for name, value in values.items() if name in names}


def _there(row: DictRow | None, missing: str | None = None) -> DictRow:
    if row is None:
        raise NotFound(missing)
    return row
