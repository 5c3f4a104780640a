"""Brings runs and workers together: here at once if there is room, else wherever there is.

A process has so many slots. A slot works off one thread's runs, one after the other, until none is
due. Runs come from the request that made them, from a hint, or from the sweep that finds what lost
hints and dead workers left behind.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal
from uuid import UUID

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from psycopg import OperationalError
from psycopg.rows import DictRow

import checkpoints
from engine.claims import CancelRequested, Claims, Ending, Run, Superseded, why
from engine.ending import Endings
from engine.events import Events
from engine.execution import Executor, OutOfTime, scope_of
from engine.lease import Lease
from engine.metrics import Metrics
from engine.patience import AWAY, patiently
from engine.scope import scope
from engine.serialise import dumps
from engine.telemetry import Tracing, fail
from engine.telling import Writer

log = logging.getLogger(__name__)

Reason = Literal["cancel", "lost", "hand_over"]

_LAST_WORDS_SECONDS = 2.0
_GRACE_SECONDS = 0.3  # for a graph to end when it is cancelled, and to write down that it was
_AWAY_SECONDS = 1.0
_ATTEMPTS = 10  # of a run that fails because a store cannot be reached
_KEYS_SECONDS = 600.0  # how often old idempotency keys are deleted


class _Passing(Exception):
    """A run failed through no fault of its own."""


class _Execution:
    """A run at work, and why it was stopped if it was."""

    def __init__(self, run: Run, task: asyncio.Task[Any], control: RunControl) -> None:
        self.run = run
        self.task = task
        self.control = control
        self.reason: Reason | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task.add_done_callback(self._end)

    def stop(self, reason: Reason) -> None:
        """Cancel it. What ignores that is left to itself: nothing it writes counts any more."""
        if self.reason is None:
            self.reason = reason
            self.task.cancel()
            asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._end)

    @property
    def drained(self) -> bool:
        """Whether it stopped between two super-steps because this process stops."""
        return (
            self.task.done()
            and not self.task.cancelled()
            and isinstance(self.task.exception(), GraphDrained)
        )

    def _end(self, *_: object) -> None:
        if not self.over.done():
            self.over.set_result(None)


class Dispatcher:
    """The worker in this process. With no slots it only takes requests."""

    def __init__(
        self,
        claims: Claims,
        executor: Executor,
        endings: Endings,
        events: Events,
        metrics: Metrics,
        tracing: Tracing,
        *,
        slots: int,
        sweep_seconds: float,
    ) -> None:
        self._claims = claims
        self._executor = executor
        self._endings = endings
        self._events = events
        self.metrics = metrics
        self.tracing = tracing
        self._slots = slots
        self._sweep_seconds = sweep_seconds
        self._taken = 0
        self._room = asyncio.Event()
        self._turned_away = False
        self._reached = time.monotonic()
        self._judging_from = 0.0
        self._keys_until = 0.0
        self._stopping = False
        self._executions: dict[UUID, _Execution] = {}
        self._work: dict[UUID, asyncio.Task[None]] = {}
        self._lease: Lease | None = None
        metrics.slots.set(slots)
        events.on_cancel = self.cancel

    def keep_alive_with(self, lease: Lease) -> None:
        self._lease = lease

    @property
    def stopping(self) -> bool:
        """Whether this process takes no more runs."""
        return self._stopping

    def reserve(self) -> bool:
        """Take a slot, to be given to `start` or back to `release`."""
        if self._stopping or self._taken >= self._slots:
            self._turned_away = True
            return False
        self._taken += 1
        self.metrics.busy.set(self._taken)
        return True

    def release(self) -> None:
        self._taken -= 1
        self.metrics.busy.set(self._taken)
        if self._turned_away or self._claims.terms["most"]:
            self._room.set()  # full or not: what was turned away may wait still

    def start(self, run: Run, by: str) -> None:
        """Execute a claimed run on a reserved slot."""
        self.metrics.claims.labels(by).inc()
        before = self._work.get(run.thread_id)
        task = asyncio.create_task(self._supervise(run, before, heard=by != "request"))
        self._work[run.thread_id] = task
        task.add_done_callback(partial(self._leave, run.thread_id))

    async def hint(self, thread_id: str) -> None:
        """There may be a due run on this thread."""
        await self._claim(UUID(thread_id), "hint")

    def cancel(self, run_id: UUID) -> None:
        """Stop the run if it is executed here."""
        if execution := self._executions.get(run_id):
            execution.stop("cancel")

    def on_beat(self, asked: frozenset[UUID], rows: Sequence[DictRow]) -> None:
        """Stop what is ours no more, or was cancelled where Redis could not tell us."""
        ours = {row["run_id"]: row for row in rows}
        for run_id in asked & self._executions.keys():
            execution, row = self._executions[run_id], ours.get(run_id)
            if row is None or row["epoch"] != execution.run.epoch:
                execution.stop("lost")
            elif row["cancel"]:
                execution.stop("cancel")

    async def sweep_for_ever(self) -> None:
        while True:
            self._room.clear()  # before the look, which may miss the room that is made during it
            try:
                await self._sweep()
            except OperationalError as error:
                log.warning("the sweep failed (%s): trying again", error)
                await asyncio.sleep(1)
            try:
                async with asyncio.timeout(self._sweep_seconds):
                    await self._room.wait()
            except TimeoutError:
                continue

    async def drain(self, seconds: float) -> None:
        """Claim nothing more, and let what is at work come to the end of its super-step.

        What needs longer than `seconds` is cut short. Whatever is not over is handed over.
        """
        self._stopping = True
        for execution in self._executions.values():
            execution.control.request_drain()
        if self._work:
            await asyncio.wait(self._work.values(), timeout=seconds)
        for execution in self._executions.values():
            execution.stop("hand_over")
        if self._work:
            await asyncio.wait(self._work.values())

    async def _sweep(self) -> None:
        await self._judge()
        if self._taken < self._slots and not self._stopping:
            room = self._slots - self._taken
            waiting = await self._claims.waiting(room)
            self._turned_away = len(waiting) == room
            for thread_id in waiting:
                await self._claim(thread_id, "sweep")
        if (now := time.monotonic()) >= self._keys_until:
            self._keys_until = now + _KEYS_SECONDS
            await self._claims.forget_keys()

    async def _judge(self) -> None:
        """Give up on workers whose leases ran out, if they had the time to renew them.

        After an outage of PostgreSQL, or a pause of this process, they had not.
        """
        lost, lease = await self._claims.lost(), 3 * self._sweep_seconds
        now = time.monotonic()
        if now - self._reached > lease:
            self._judging_from = now + lease
        self._reached = now
        if now >= self._judging_from:
            for row in lost:
                self.metrics.given_up.labels(why(row)).inc()
            for thread_id in await self._claims.take_over(lost):
                await self._events.check(thread_id)

    async def _claim(self, thread_id: UUID, by: str) -> None:
        if not self.reserve():
            return
        run = None
        try:
            run = await self._claims.claim_on(thread_id)
        finally:
            if run is None:
                self.release()
            else:
                self.start(run, by)

    def _leave(self, thread_id: UUID, task: asyncio.Task[None]) -> None:
        if self._work.get(thread_id) is task:
            del self._work[thread_id]

    async def _supervise(self, run: Run, before: asyncio.Task[None] | None, *, heard: bool) -> None:
        following: Run | None = run
        try:
            if before:  # the thread's last run has ended, but still says so
                await asyncio.wait({before}, timeout=_LAST_WORDS_SECONDS)
            while following:
                scope.set(where := scope_of(following))
                trace = following.kwargs.get("trace")
                with self.tracing.run(where, following.attempt, trace):
                    following = await self._execute(following, heard=heard)
                heard = True  # who asked for that one may be anywhere
        except Exception:
            log.exception("a run could not be ended: its lease will run out")
        finally:
            self.release()

    async def _execute(self, run: Run, *, heard: bool) -> Run | None:
        """Execute and end a claimed run. Returns the thread's next one, claimed."""
        began = time.monotonic()
        events = self._events.write(
            run.thread_id,
            run.run_id,
            run.epoch or 0,
            heard=heard,
            replayed=run.kwargs["resumable"],
        )
        async with events as writer:
            control = RunControl()
            if self._stopping:
                control.request_drain()
            task = asyncio.create_task(self._executor.execute(run, writer, control))
            execution = self._executions[run.run_id] = _Execution(run, task, control)
            if run.cancel:
                execution.stop("cancel")
            if self._lease:
                self._lease.hold(run.run_id)
            try:
                await execution.over
                return await self._end(execution, writer)
            except Superseded:
                log.warning("run %s belongs to another claim now", run.run_id)
                return None
            finally:
                self.metrics.run_seconds.labels(run.graph_id).observe(time.monotonic() - began)
                if self._lease:
                    self._lease.release(run.run_id)
                del self._executions[run.run_id]
                self._let_go(task)

    def _let_go(self, task: asyncio.Task[Any]) -> None:
        """A graph that goes on although it was cancelled keeps a slot for as long as it does."""

        def gone(task: asyncio.Task[Any]) -> None:
            if not task.cancelled():
                task.exception()  # heard, so that asyncio does not complain
            self.release()

        if not task.done():
            self._taken += 1
            task.add_done_callback(gone)

    async def _end(self, execution: _Execution, writer: Writer) -> Run | None:
        run, more = execution.run, not self._stopping
        if execution.reason == "lost":
            raise Superseded
        if execution.reason == "hand_over" or execution.drained:
            await self._hand_over(run, writer)
            return None
        try:
            if execution.reason == "cancel":
                raise CancelRequested(run.cancel or "interrupt", run.cancel_reason or "")
            # Everything is told before the commit lets another process write on this thread.
            ending, _ = await asyncio.gather(self._ending(execution), writer.flush())
            following = await patiently(partial(self._claims.finish, run, ending, more=more))
        except CancelRequested:
            ending, following = await self._cancelled(run, writer, more=more)
        except _Passing as error:
            log.warning(
                "run %s begins again: a store cannot be reached (%s)", run.run_id, error.__cause__
            )
            await asyncio.sleep(_AWAY_SECONDS)
            await self._hand_over(run, writer)
            return None
        self._announce(run, ending, writer)
        if run.kwargs["temporary"] and following is None and await self._claims.is_gone(run):
            await self._endings.forget(run)
        return following

    async def _hand_over(self, run: Run, writer: Writer) -> None:
        await writer.flush()
        await patiently(partial(self._claims.hand_over, run))

    async def _cancelled(
        self, run: Run, writer: Writer, *, more: bool
    ) -> tuple[Ending, Run | None]:
        """As its row says. From the new epoch on, what the graph still does is void."""
        await self._endings.saved(run)
        run = await patiently(partial(self._claims.renew, run))
        request = CancelRequested(run.cancel or "interrupt", run.cancel_reason or "")
        ending = await patiently(partial(self._endings.cancelled, run, request))
        await writer.flush()
        erased = request.action == "rollback"
        finish = partial(self._claims.finish, run, ending, more=more, erased=erased)
        return ending, await patiently(finish)

    async def _ending(self, execution: _Execution) -> Ending:
        task = execution.task
        if task.cancelled() and execution.reason is None:
            return await self._endings.failed(execution.run, asyncio.CancelledError())
        if not task.cancelled() and (error := task.exception()):
            if isinstance(error, checkpoints.Superseded):
                raise Superseded from error
            if isinstance(error, AWAY) and execution.run.attempt < _ATTEMPTS:
                raise _Passing from error
            if isinstance(error, OutOfTime):
                return await self._endings.timed_out(execution.run)
            log.info("run %s failed", execution.run.run_id, exc_info=error)
            fail(error)
            return await self._endings.failed(execution.run, error)
        return await self._endings.succeeded(execution.run, task.result())

    def _announce(self, run: Run, ending: Ending, writer: Writer) -> None:
        """After the commit, so that whoever hears of the end also reads it."""
        self.metrics.runs.labels(run.graph_id, ending.status).inc()
        if ending.status == "error":
            writer.put("error", dumps(ending.error))
        writer.put("end", dumps({"run_id": str(run.run_id), "status": ending.status}))
