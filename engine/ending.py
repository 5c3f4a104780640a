"""How runs end: the row of the run, the row of its thread, and the error that clients see."""

import asyncio
from collections.abc import Mapping
from typing import Any

from checkpoints.errors import InvalidCheckpoint
from engine.claims import CancelRequested, Ending, Run
from engine.graphs import Graphs
from engine.snapshots import Settled, address, settled

_SHOWN = frozenset(
    {
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        TimeoutError,
        RecursionError,
        InvalidCheckpoint,
    }
)
_MASK = "An internal error occurred"


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
        return Ending("error", "error", Settled("error", state.values, {}), describe(error))

    async def cancelled(self, run: Run, request: CancelRequested) -> Ending:
        """What it wrote stays, unless it is to be rolled back."""
        if request.action == "rollback":
            await self._graphs.checkpointer.adelete_for_runs([str(run.run_id)])
        state = await self._state(run)
        if request.action == "rollback":
            error = {"error": "UserRollback", "message": str(request)}
            return Ending("interrupted", state.status, state, error)
        error = {"error": "UserInterrupt", "message": str(request)}
        left = Settled("interrupted", state.values, {})
        return Ending("interrupted", "interrupted", left, error)

    async def forget(self, run: Run) -> None:
        """Delete the checkpoints of a thread that went with its run."""
        await self._graphs.checkpointer.adelete_thread(str(run.thread_id))

    async def _state(self, run: Run) -> Settled:
        graph = self._graphs.get(run.graph_id)
        return settled(await graph.aget_state(address(run.thread_id)))


def describe(error: BaseException) -> dict[str, str]:
    """Class and message; the message only of errors that graphs raise on purpose."""
    kind = type(error)
    shown = kind in _SHOWN or kind.__module__.startswith("langgraph.")
    message = str(error) if shown or isinstance(error, asyncio.CancelledError) else _MASK
    return {"error": kind.__name__, "message": message}
