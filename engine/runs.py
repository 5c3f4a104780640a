"""Runs, as their callers know them: asked for, looked up, cancelled, deleted.

Whoever decides about a thread's runs holds the thread's row, so decisions queue up per thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from engine import config
from engine.assistants import Assistant, Assistants
from engine.caller import Caller
from engine.claims import Claims, Run
from engine.database import Connection, Pool, fetch_all, fetch_one, statements
from engine.dispatch import Dispatcher
from engine.errors import Conflict, Forbidden, NotFound
from engine.events import Events
from engine.graphs import Graphs
from engine.ids import new_id
from engine.jobs import HINT, Jobs
from engine.serialise import column
from engine.threads import Thread, Threads

Strategy = Literal["reject", "enqueue", "interrupt", "rollback"]
Action = Literal["interrupt", "rollback"]

_MISSING = "Thread or assistant not found."
_BUSY = (
    "Thread is already running a task. Wait for it to finish or choose a different multitask "
    "strategy."
)
_OVER = (
    "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs "
    "haven't been deleted or completed."
)
CANCEL_REASON = "{action} requested via POST /threads/{{thread_id}}/runs/{{run_id}}/cancel"
GONE_REASON = "client disconnected from the run stream (on_disconnect=cancel)"


@dataclass(frozen=True)
class RunRequest:
    """What a client may ask for. `checkpoint` is the one to go on from."""

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
    temporary: bool = False
    after_seconds: float = 0.0
    durability: Literal["sync", "async", "exit"] = "async"
    request_id: str = ""


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
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._events = events
        self._threads = threads
        self._assistants = assistants
        self._graphs = graphs
        self._claims = claims
        self._dispatcher = dispatcher
        self._sql = statements("engine", "runs.sql")

    async def create(self, caller: Caller, thread_id: UUID, request: RunRequest) -> Run:
        """Write the run down and see that a worker takes it: this process if it has room.

        Raises `NotFound`, `Invalid`, `BadRequest`, or `Conflict` when the strategy is to reject.
        """
        command = request.command or {}
        if not caller.trusted and (command.get("update") or command.get("goto")):
            raise Forbidden("A public key may resume a run, but not edit its state.")
        room = request.after_seconds <= 0 and self._dispatcher.reserve()
        claimed: Run | None = None
        try:
            async with self._pool.connection() as conn, conn.transaction():
                assistant = await self._assistant(conn, caller, request)
                thread = await self._thread(conn, caller, thread_id, request)
                stopped = await self._give_way(conn, thread, request.multitask_strategy)
                run = await self._insert(conn, caller, thread, assistant, request)
                if room:
                    claimed = await self._claims.claim(conn, thread.thread_id)
                elif request.after_seconds <= 0:
                    await self._jobs.defer(conn, HINT, thread_id=str(thread.thread_id))
        except BaseException:
            claimed = None  # the transaction took the claim with it
            raise
        finally:
            if claimed:
                self._dispatcher.start(claimed, "request")
            elif room:
                self._dispatcher.release()
        await self._tell(thread.thread_id, stopped)
        return run

    async def get(self, caller: Caller, thread_id: UUID | None, run_id: UUID) -> Run:
        """Raises `NotFound`."""
        args = {"run_id": run_id, "thread_id": thread_id, "tenant": caller.tenant}
        async with self._pool.connection() as conn:
            if row := await fetch_one(conn, self._sql["get"], args):
                return Run.of(row)
        raise NotFound("Run not found")

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
    ) -> None:
        """Stop a pending or running run; `rollback` also removes all trace of it.

        Raises `NotFound` when there is nothing to stop.
        """
        reason = reason or CANCEL_REASON.format(action=action)
        async with self._pool.connection() as conn, conn.transaction():
            if not await self._threads.lock(conn, caller, thread_id):
                raise NotFound("No runs found to cancel.")
            args = {"run_id": run_id, "thread_id": thread_id, "tenant": caller.tenant}
            if not await fetch_one(conn, self._sql["get"], args):
                raise NotFound("No runs found to cancel.")
            if not await self._stop(conn, thread_id, run_id, action, reason):
                raise NotFound(_OVER)
        await self._tell(thread_id, [run_id])

    async def delete(self, caller: Caller, thread_id: UUID, run_id: UUID) -> None:
        """Remove the run and its checkpoints; a running one is rolled back. Raises `NotFound`."""
        run = await self.get(caller, thread_id, run_id)
        if not run.over:
            await self.cancel(caller, thread_id, run_id, "rollback")
            return
        async with self._pool.connection() as conn:
            await conn.execute(self._sql["delete"], {"run_id": run_id})
        await self._graphs.checkpointer.adelete_for_runs([str(run_id)])

    async def _assistant(self, conn: Connection, caller: Caller, request: RunRequest) -> Assistant:
        try:
            return await self._assistants.resolve(conn, caller, request.assistant_id)
        except NotFound as error:
            raise NotFound(_MISSING) from error

    async def _thread(
        self, conn: Connection, caller: Caller, thread_id: UUID, request: RunRequest
    ) -> Thread:
        """The thread, held until the transaction ends; made when the request says so."""
        thread = None
        if request.create_thread:
            thread = await self._threads.insert(
                conn, caller, thread_id, temporary=request.temporary
            )
        thread = thread or await self._threads.lock(conn, caller, thread_id)
        if thread is None:
            raise NotFound(_MISSING)
        return thread

    async def _give_way(self, conn: Connection, thread: Thread, strategy: Strategy) -> list[UUID]:
        """Apply the strategy to the runs before this one; returns those that were stopped."""
        if strategy == "enqueue":
            return []
        active = await fetch_all(conn, self._sql["active"], {"thread_id": thread.thread_id})
        if active and strategy == "reject":
            raise Conflict(_BUSY)
        reason = f"{strategy} requested by a newer run on the thread"
        for row in active:
            await self._stop(conn, thread.thread_id, row["run_id"], strategy, reason)
        return [row["run_id"] for row in active]

    async def _stop(
        self, conn: Connection, thread_id: UUID, run_id: UUID, action: str, reason: str
    ) -> bool:
        """Mark the run as stopped; a pending one is over at once. The worker does the rest."""
        args = {"run_id": run_id, "thread_id": thread_id, "action": action, "reason": reason}
        row = await fetch_one(conn, self._sql["request_cancel"], args)
        if row and row["status"] == "pending":
            name = "delete" if action == "rollback" else "end_pending"
            await conn.execute(self._sql[name], args)
            await conn.execute(self._sql["release_thread"], args)
            if action == "rollback":  # a worker that was lost may have begun it
                await self._graphs.checkpointer.adelete_for_runs([str(run_id)])
        return row is not None

    async def _tell(self, thread_id: UUID, stopped: Sequence[UUID]) -> None:
        for run_id in stopped:
            await self._events.cancel(run_id)
        if stopped:
            await self._events.check(thread_id)

    async def _insert(
        self,
        conn: Connection,
        caller: Caller,
        thread: Thread,
        assistant: Assistant,
        request: RunRequest,
    ) -> Run:
        run_id = new_id()
        merged, context = config.merge(assistant, request.config, request.context)
        self._graphs.context(assistant.graph_id, context)
        metadata = config.metadata(assistant, thread.metadata, request.metadata)
        ours = config.server_keys(
            caller,
            assistant,
            thread_id=thread.thread_id,
            run_id=run_id,
            request_id=request.request_id,
        )
        request = self._admitted(assistant.graph_id, request)
        pointer = config.pointer(request.config, request.checkpoint)
        asked = {**merged, "configurable": {**merged["configurable"], **pointer, **ours}}
        args = {
            "run_id": run_id,
            "thread_id": thread.thread_id,
            "assistant_id": assistant.assistant_id,
            "graph_id": assistant.graph_id,
            "since": thread.epoch,
            "multitask_strategy": request.multitask_strategy,
            "metadata": column(metadata),
            "kwargs": column(_kwargs(request, asked, context)),
            "delay": max(0.0, request.after_seconds),
        }
        (row,) = await fetch_all(conn, self._sql["insert"], args)
        first = {"graph_id": assistant.graph_id, "assistant_id": str(assistant.assistant_id)}
        args |= {"metadata": column(first), "config": column(merged)}
        await conn.execute(self._sql["occupy_thread"], args)
        return Run.of(row)

    def _admitted(self, graph_id: str, request: RunRequest) -> RunRequest:
        """The request as its graph's door lets it in: that is what is stored."""
        admit = self._graphs.admit.get(graph_id)
        if admit is None:
            return request
        return replace(request, input=admit(request.input), command=admit(request.command))


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
        "webhook": None,
        "feedback_keys": None,
        "temporary": request.temporary,
        "subgraphs": request.stream_subgraphs,
        "resumable": request.stream_resumable,
        "checkpoint_during": request.durability != "exit",
        "durability": request.durability,
    }
