"""How runs end: the row of the run, the row of its thread, and the error that clients see."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from checkpoints.errors import InvalidCheckpoint
from engine.claims import CancelRequested, Ending, Run, stopped
from engine.errors import Unbuildable
from engine.graphs import Graphs
from engine.snapshots import Settled, address, settled

_SHOWN = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    TimeoutError,
    InvalidCheckpoint,
)
_MASK = "An internal error occurred"
_SAVES_SECONDS = 5.0


class Endings:
    """Reads where the thread's checkpoints ended."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs

    async def succeeded(self, run: Run, left: Mapping[str, Any] | None) -> Ending:
        """It returned, or waits for an answer: both are a success.

        `left` are the values of a graph that has returned, if it has told them.
        """
        state = await self._state(run) if left is None else Settled("idle", left, {})
        return Ending("success", state.status, state)

    async def failed(self, run: Run, error: BaseException) -> Ending:
        state = await self._state(run)
        return Ending("error", "error", replace(state, status="error"), describe(error))

    async def timed_out(self, run: Run) -> Ending:
        state = await self._state(run)
        error = {"error": "TimeoutError", "message": ""}
        return Ending("timeout", "error", replace(state, status="error"), error)

    async def saved(self, run: Run) -> None:
        """Wait, for a moment, for what the run's cancelled graph has still asked to be saved."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SAVES_SECONDS):
                await self._graphs.checkpointer.settled(str(run.thread_id))

    async def cancelled(self, run: Run, request: CancelRequested) -> Ending:
        """What it wrote stays, unless it is to be rolled back."""
        if request.action == "rollback":
            await self._graphs.checkpointer.adelete_for_runs(
                [str(run.run_id)], thread_id=str(run.thread_id)
            )
        state = await self._state(run)
        return stopped(request.action, str(request), state)

    async def forget(self, run: Run) -> None:
        """Delete the checkpoints of a thread that went with its run."""
        await self._graphs.checkpointer.adelete_thread(str(run.thread_id))

    async def _state(self, run: Run) -> Settled:
        config = run.kwargs["config"]
        try:
            async with self._graphs.open(run.graph_id, "threads.read", config) as graph:
                return settled(await graph.aget_state(address(run.thread_id)))
        except Unbuildable:  # the run failed because of it
            return Settled("idle", {}, {})


def describe(error: BaseException) -> dict[str, str]:
    """Class and message; the message only of errors that graphs raise on purpose."""
    kind = type(error)
    shown = isinstance(error, _SHOWN) or kind.__module__.startswith("langgraph.")
    message = str(error) if shown or isinstance(error, asyncio.CancelledError) else _MASK
    return {"error": kind.__name__, "message": message}
