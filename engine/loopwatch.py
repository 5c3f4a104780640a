"""Notices when the event loop does not answer, and says which node keeps it from answering."""

import asyncio
import gc
import logging
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from types import FrameType
from typing import Any

from engine.metrics import Metrics
from engine.scope import Scope, scope

log = logging.getLogger(__name__)

_PERIOD = 0.1
_IDLE_PERIOD = 0.5
_LATE = 0.005
_WEIGHT = 0.3  # of the newest: what is older than half a second counts little
_LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))


@dataclass
class _Step:
    """A task that was at work whenever we looked while the loop did not answer."""

    task: asyncio.Task[Any]
    scope: Scope | None
    where: str
    times: int = 1


class LoopWatch:
    """A timer that should go off ten times a second, and a thread that looks when it is late.

    Twice a second are enough while no run is attended to and the loop is on time. One step of one
    task that keeps the loop for `seconds` is logged once, when it is over, and counted by graph and
    node. A loop that is slow because it has much to do shows in `lag` alone.
    """

    def __init__(self, metrics: Metrics, seconds: float) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._smooth = 0.0
        self._late: deque[tuple[float, float]] = deque(maxlen=20)  # due when, and how late
        self._runs = 0
        self._wait()
        self._stopping = False
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop watch", daemon=True)
        metrics.loop_lag.set_function(lambda: self.lag)

    @property
    def lag(self) -> float:
        """Seconds that a callback waits for its turn, smoothed over about the last half second.

        A loop that is late already counts with what it is late by now.
        """
        late = time.monotonic() - self._due
        return max(self._smooth, _smoothed(self._smooth, late))

    def start(self) -> None:
        self._thread.start()

    @contextmanager
    def attending(self) -> Iterator[None]:
        """While a run is executed."""
        self._runs += 1
        if self._due - time.monotonic() > _PERIOD:
            self._timer.cancel()
            self._wait()
            self._changed.set()
        try:
            yield
        finally:
            self._runs -= 1

    async def stop(self) -> None:
        self._timer.cancel()
        self._stopping = True
        self._changed.set()
        await asyncio.to_thread(self._thread.join)

    def _tick(self) -> None:
        late = max(0.0, time.monotonic() - self._due)
        self._late.append((self._due, late))
        self._smooth = _smoothed(self._smooth, late)
        self._wait()

    def _wait(self) -> None:
        hurried = self._runs or self._smooth > _LATE
        period = _PERIOD if hurried else _IDLE_PERIOD
        self._due = time.monotonic() + period
        self._timer = self._loop.call_later(period, self._tick)

    def _watch(self) -> None:
        half = self._seconds / 2
        while not self._stopping:
            due = self._due
            if self._changed.wait(due + half - time.monotonic()):
                self._changed.clear()
                continue
            if self._due != due:
                continue
            step = self._look(due)
            while not self._changed.wait(half) and self._due == due:
                step = self._look_again(step)
            late = dict(self._late.copy()).get(due, 0.0)
            if step and step.times > 1 and late >= self._seconds:
                self._tell(step, late)

    def _look(self, due: float) -> _Step | None:
        task = asyncio.current_task(self._loop)
        if task is None or self._due != due:
            return None
        frames = sys._current_frames()  # noqa: SLF001 - documented
        return _Step(task, _scope_of(task), _where(frames.get(self._loop_thread)))

    def _look_again(self, step: _Step | None) -> _Step | None:
        """The timer goes off in the loop's next round: who is still there has not yielded."""
        if step is None or asyncio.current_task(self._loop) is not step.task:
            return None
        step.times += 1
        return step

    def _tell(self, step: _Step, seconds: float) -> None:
        graph, node = (step.scope.graph, step.scope.node) if step.scope else ("", "")
        self._metrics.loop_blocked.labels(graph, node).observe(seconds)
        who = f"node {graph}.{node}" if node else "something outside nodes"
        ids = {"graph": graph, "node": node, "seconds": round(seconds, 3)}
        if step.scope:
            ids |= {"run_id": step.scope.run_id, "thread_id": step.scope.thread_id}
        log.warning(
            "%s blocked the event loop for %.2f s (%s)", who, seconds, step.where, extra=ids
        )


def _smoothed(before: float, newest: float) -> float:
    return before + _WEIGHT * (newest - before)


def _scope_of(task: asyncio.Task[Any]) -> Scope | None:
    if sys.version_info >= (3, 12):
        return task.get_context().get(scope)
    # Python 3.11 hides a task's context from everybody but the garbage collector.
    contexts = (each for each in gc.get_referents(task) if isinstance(each, Context))
    return next((found for context in contexts if (found := context.get(scope))), None)


def _where(frame: FrameType | None) -> str:
    """File and line of the innermost code that belongs to no library."""
    innermost = frame
    while frame and frame.f_code.co_filename.startswith(_LIBRARIES):
        frame = frame.f_back
    frame = frame or innermost
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"
