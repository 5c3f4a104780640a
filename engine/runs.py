"""Runs, as their callers know them: asked for, looked up, cancelled, deleted.

Whoever decides about a thread's runs holds the thread's row, so decisions queue up per thread.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal
from uuid import UUID

from psycopg import DatabaseError
from psycopg.rows import DictRow

from engine import config
from engine.admission import Admission
from engine.assistants import Assistant, Assistants
from engine.caller import Caller
from engine.claims import Claims, Run
from engine.database import Pool, fetch_all, fetch_one, statements
from engine.dispatch import Dispatcher
from engine.errors import Conflict, Forbidden, FrontdeskError, Invalid, NotFound
from engine.events import Events
from engine.graphs import Graphs
from engine.ids import new_id
from engine.jobs import HINT, Jobs
from engine.serialise import column, dumps
from engine.stopping import Action, Stop, Stopping
from engine.telemetry import traceparent
from engine.threads import Threads

Strategy = Literal["reject", "enqueue", "interrupt", "rollback"]

_MISSING = "Thread or assistant not found."
_BUSY = (
    "Thread is already running a task. Wait for it to finish or choose a different multitask "
    "strategy."
)
_REUSED = "This Idempotency-Key was used for another request within the last 24 hours."
_GONE = (
    "The run that this Idempotency-Key made is gone: it was rolled back or deleted, or its thread "
    "was. Use a new key to ask again."
)
GONE_REASON = "client disconnected from the run stream (on_disconnect=cancel)"


@dataclass(frozen=True)
class RunRequest:
    """What a client may ask for. `checkpoint` is the one to go on from.

    `assistant_filter` is what the assistant's metadata must contain, unless it is a graph's own;
    `headers` are those of the request that graphs find in `configurable`.
    """

    assistant_id: str
    input: Any = None
    command: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] | None = None
    stream_mode: Sequence[str] = ("values",)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    interrupt_before: Literal["*"] | Sequence[str] | None = None
    interrupt_after: Literal["*"] | Sequence[str] | None = None
    multitask_strategy: Strategy = "enqueue"
    create_thread: bool = False
    thread_metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)
    temporary: bool = False
    after_seconds: float = 0.0
    durability: Literal["sync", "async", "exit"] = "async"
    webhook: str | None = None
    assistant_filter: Mapping[str, Any] = field(default_factory=dict, compare=False)
    cron_id: UUID | None = None
    feedback_keys: Sequence[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)
    event_streaming: bool = False
    request_id: str = field(default="", compare=False)
    idempotency_key: str | None = field(default=None, compare=False)


class Runs:
    """The runs on a caller's threads."""

    def __init__(
        self,
        pool: Pool,
        jobs: Jobs,
        events: Events,
        threads: Threads,
        assistants: Assistants,
        graphs: Graphs,
        claims: Claims,
        dispatcher: Dispatcher,
        admission: Admission,
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._threads = threads
        self._assistants = assistants
        self._graphs = graphs
        self._claims = claims
        self._dispatcher = dispatcher
        self._admission = admission
        self.stopping = Stopping(pool, events, threads, claims)
        self._sql = statements("engine", "runs.sql")

    async def keep(self, run: Run) -> None:
        """Whoever waits for it comes back later, even for what goes with a stateless run."""
        if run.kwargs["temporary"]:
            await self._claims.keep(run)

    async def create(self, caller: Caller, thread_id: UUID | None, request: RunRequest) -> Run:
        """Write the run down and see that a worker takes it: this process if it has room.

        Without a thread it gets one of its own. A request that was made before with the same
        `idempotency_key` returns the run it made then. Raises `NotFound`, `Invalid`, `BadRequest`,
        `Conflict` when the strategy is to reject, or `Busy` and `Unavailable` under overload.
        """
        command = request.command or {}
        if not caller.edits and (command.get("update") or command.get("goto")):
            raise Forbidden("A public key may resume a run, but not edit its state.")
        self._admission.work()
        due = request.after_seconds <= 0
        room = due and self._dispatcher.reserve()
        claimed: Run | None = None
        try:
            if due and not room:
                await self._admission.queue(caller.tenant)
            told, run, claimed = await self._ask(caller, thread_id, request, claim=room)
        finally:
            if claimed:
                self._dispatcher.start(claimed, "request")
            elif room:
                self._dispatcher.release()
        await self.stopping.tell(run.thread_id, told)
        return run

    async def check(self, caller: Caller, request: RunRequest) -> None:
        """Raise what `create` would raise for this request, whatever its thread."""
        await self._args(caller, None, request, fresh=False)

    async def get(self, caller: Caller, thread_id: UUID | None, run_id: UUID) -> Run:
        """Raises `NotFound`."""
        args = {**caller.sight, "run_id": run_id, "thread_id": thread_id}
        async with self._pool.connection() as conn:
            if row := await fetch_one(conn, self._sql["get"], args):
                return Run.of(row)
        if thread_id:
            await self._threads.get(caller, thread_id)
        raise NotFound

    async def of_thread(
        self, caller: Caller, thread_id: UUID, *, limit: int, offset: int, status: str | None
    ) -> list[Run]:
        """The thread's runs, newest first. Raises `NotFound`."""
        await self._threads.get(caller, thread_id)
        args = {"thread_id": thread_id, "limit": limit, "offset": offset, "status": status}
        async with self._pool.connection() as conn:
            return [Run.of(row) for row in await fetch_all(conn, self._sql["list"], args)]

    async def cancel(
        self,
        caller: Caller,
        thread_id: UUID,
        run_id: UUID,
        action: Action = "interrupt",
        reason: str | None = None,
    ) -> Run:
        """Stop a pending or running run; `rollback` also removes all trace of it.

        Returns it as it was. Raises `NotFound` when there is nothing to stop.
        """
        return await self.stopping.one(caller, thread_id, run_id, Stop(action, reason))

    async def delete(self, caller: Caller, thread_id: UUID, run_id: UUID) -> None:
        """Remove the run and its checkpoints; a running one is rolled back. Raises `NotFound`."""
        try:
            run = await self.get(caller, thread_id, run_id)
        except NotFound as error:
            raise NotFound("Run not found") from error
        if not run.over:
            await self.cancel(caller, thread_id, run_id, "rollback")
            return
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["delete"], {"run_id": run_id})
        await self._graphs.checkpointer.adelete_for_runs([str(run_id)], thread_id=str(thread_id))

    async def _ask(
        self, caller: Caller, thread_id: UUID | None, request: RunRequest, *, claim: bool
    ) -> tuple[list[DictRow], Run, Run | None]:
        """As one statement, again when the assistant has changed since this process read it."""
        for fresh in (False, True):
            args = await self._args(caller, thread_id, request, fresh=fresh)
            try:
                rows = await self._write(args, claim=claim, hint=request.after_seconds <= 0)
            except DatabaseError as error:
                if error.sqlstate == _STALE and not fresh:
                    continue
                if refusal := _REFUSALS.get(error.sqlstate or ""):
                    kind, message = refusal
                    raise kind(message) from error
                raise
            return _sorted(rows, args["run_id"])
        raise NotFound(_MISSING)

    async def _args(
        self, caller: Caller, thread_id: UUID | None, request: RunRequest, *, fresh: bool
    ) -> dict[str, Any]:
        assistant = await self._assistant(caller, request, fresh=fresh)
        run_id, given, key = new_id(), thread_id, request.idempotency_key
        thread_id = thread_id or new_id()
        merged, context = config.merge(assistant, request.config, request.context)
        context = config.as_caller(caller, context)
        self._graphs.context(assistant.graph_id, context)
        ours = config.server_keys(
            caller, assistant, thread_id=thread_id, run_id=run_id, request_id=request.request_id
        )
        if request.cron_id:
            ours["cron_id"] = str(request.cron_id)
        asked = self._admitted(assistant.graph_id, request)
        pointer = config.pointer(request.config, request.checkpoint)
        ours = {**config.clean(request.headers), **pointer, **ours}
        ours |= {config.EVENT_STREAMING: True} if request.event_streaming else {}
        named = {"user_id": caller.identity, **merged["configurable"]}
        configured = {**merged, "configurable": {**named, **ours}}
        return {
            **self._claims.terms,
            "run_id": run_id,
            "thread_id": thread_id,
            **caller.sight,
            "owner": caller.identity,
            "make_thread": request.create_thread,
            "thread_metadata": column(request.thread_metadata),
            "temporary": request.temporary,
            "assistant_id": assistant.assistant_id,
            "version": assistant.version,
            "assistant_made": assistant.created_at,
            "graph_id": assistant.graph_id,
            "multitask_strategy": request.multitask_strategy,
            "base_metadata": column(assistant.metadata),
            "own_metadata": column(request.metadata),
            "merged": column(merged),
            "kwargs": column(_kwargs(asked, configured, context)),
            "delay": max(0.0, float(request.after_seconds)),
            "key": key and key_of(caller, key),
            "digest": _digest(given, request) if key else None,
        }

    async def _assistant(self, caller: Caller, request: RunRequest, *, fresh: bool) -> Assistant:
        seeing = replace(caller, filter=request.assistant_filter)
        try:
            return await self._assistants.resolve(seeing, request.assistant_id, fresh=fresh)
        except NotFound as error:
            raise NotFound(_MISSING) from error

    async def _write(self, args: Mapping[str, Any], *, claim: bool, hint: bool) -> list[DictRow]:
        stops = args["multitask_strategy"] in _STOPS
        async with self._pool.connection() as conn:
            if claim and not stops:
                return await fetch_all(conn, self._sql["ask"], args)
            async with conn.transaction():
                asked = args if claim else {**args, "worker": None}
                rows = await fetch_all(conn, self._sql["ask"], asked)
                if stops:
                    told, *_ = _sorted(rows, args["run_id"])
                    action = args["multitask_strategy"]
                    reason = f"{action} requested by a newer run on the thread"
                    await self._claims.follow_unbegun(conn, told, action, reason)
                if hint and not claim:
                    await self._jobs.defer(conn, HINT, thread_id=str(args["thread_id"]))
                return rows

    def _admitted(self, graph_id: str, request: RunRequest) -> RunRequest:
        """The request as its graph's door lets it in: that is what is stored."""
        admit = self._graphs.admit.get(graph_id)
        if admit is None:
            return request
        return replace(request, input=admit(request.input), command=admit(request.command))


_STOPS = frozenset({"interrupt", "rollback"})
_STALE = "FD001"
_REFUSALS: Mapping[str, tuple[type[FrontdeskError], str]] = {
    "FD404": (NotFound, _MISSING),
    "FD409": (Conflict, _BUSY),
    "FD422": (Invalid, _REUSED),
}


def _sorted(rows: list[DictRow], run_id: UUID) -> tuple[list[DictRow], Run, Run | None]:
    """Those told to stop, the run that was asked for, and the one that was claimed.

    Raises `Conflict` when the run of an idempotency key is gone.
    """
    at = next((n for n, row in enumerate(rows) if row["run_id"] == run_id), None)
    if at is None:
        if not rows:
            raise Conflict(_GONE)
        return [], Run.of(rows[0]), None
    run, claimed = Run.of(rows[at]), Run.of(rows[-1]) if len(rows) > at + 1 else None
    if claimed and claimed.run_id == run_id:
        run = replace(run, epoch=claimed.epoch)
    return rows[:at], run, claimed


def key_of(caller: Caller, key: str) -> str:
    """The key as it is kept: somebody of another tenant may have the same name."""
    return dumps([caller.tenant, key]).decode()


def _digest(thread_id: UUID | None, request: RunRequest) -> str:
    asked = {one.name: getattr(request, one.name) for one in fields(request) if one.compare}
    return hashlib.sha256(dumps([thread_id, asked])).hexdigest()


def _kwargs(
    request: RunRequest, asked: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "input": request.input,
        "command": request.command,
        "config": asked,
        "context": context,
        "stream_mode": list(request.stream_mode),
        "interrupt_before": request.interrupt_before,
        "interrupt_after": request.interrupt_after,
        "webhook": request.webhook,
        "feedback_keys": request.feedback_keys,
        "temporary": request.temporary,
        "subgraphs": request.stream_subgraphs,
        "resumable": request.stream_resumable,
        "checkpoint_during": request.durability != "exit",
        "durability": request.durability,
        **({"trace": trace} if (trace := traceparent()) else {}),
    }
