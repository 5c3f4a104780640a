"""A thread's state and history, read and written through its graph."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.errors import InvalidUpdateError

from checkpoints import Superseded
from engine.caller import Caller
from engine.errors import BadRequest, Conflict, Forbidden
from engine.fence import fenced
from engine.graphs import Compiled, Graphs
from engine.snapshots import Json, address, empty, render, settled
from engine.threads import Thread, Threads

Checkpoint = Mapping[str, Any]


class States:
    """The states of a caller's threads, in the API's shapes."""

    def __init__(self, threads: Threads, graphs: Graphs) -> None:
        self._threads = threads
        self._graphs = graphs

    async def get(
        self,
        caller: Caller,
        thread_id: UUID,
        checkpoint: Checkpoint | None = None,
        *,
        subgraphs: bool = False,
    ) -> Json:
        """The state now or at a checkpoint; an unknown checkpoint has an empty one."""
        thread = await self._threads.get(caller, thread_id)
        config = address(thread_id, checkpoint)
        if not (graph := self._graph(thread)):
            return render(empty(config))
        return render(await graph.aget_state(config, subgraphs=subgraphs))

    async def history(
        self,
        caller: Caller,
        thread_id: UUID,
        *,
        limit: int,
        before: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> list[Json]:
        """States, newest first, those before checkpoint `before` only."""
        thread = await self._threads.get(caller, thread_id)
        if not (graph := self._graph(thread)):
            return []
        states = graph.aget_state_history(
            address(thread_id, checkpoint),
            filter=dict(metadata) if metadata else None,
            before=address(thread_id, {"checkpoint_id": before}) if before else None,
            limit=limit,
        )
        return [render(snapshot) async for snapshot in states]

    async def update(
        self,
        caller: Caller,
        thread_id: UUID,
        values: Any,
        *,
        as_node: str | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Json:
        """Write `values` as if `as_node` had returned them. Returns the new checkpoint's address.

        Raises `NotFound`, `Conflict` while runs are active, `BadRequest` when the graph refuses.
        """
        if not caller.trusted:  # whoever writes the state may put words into any mouth
            raise Forbidden("A public key cannot edit a thread's state.")
        thread = await self._threads.take(caller, thread_id)
        if thread.graph_id is None:
            raise BadRequest(
                f"Thread '{thread_id}' has no assigned graph ID. This usually occurs when no "
                "runs have been made on this particular thread. Set `graph_id` in its metadata."
            )
        graph = self._graphs.get(thread.graph_id)
        target = fenced(address(thread_id, checkpoint), thread.epoch)
        config = await _write(graph, target, values, as_node)
        await self._threads.settle(thread, settled(await graph.aget_state(address(thread_id))))
        pointer = {key: config["configurable"][key] for key in _REFERENCE}
        return {
            "checkpoint": pointer,
            "configurable": pointer,
            "checkpoint_id": pointer["checkpoint_id"],
        }

    def _graph(self, thread: Thread) -> Compiled | None:
        """The graph that knows the state's channels: the one of the latest run."""
        graph_id = thread.graph_id
        return self._graphs.get(graph_id) if graph_id and graph_id in self._graphs else None


_REFERENCE = ("thread_id", "checkpoint_ns", "checkpoint_id")


async def _write(
    graph: Compiled, config: RunnableConfig, values: Any, as_node: str | None
) -> RunnableConfig:
    try:
        return await graph.aupdate_state(config, values, as_node)
    except InvalidUpdateError as error:
        raise BadRequest(str(error).partition("\nFor troubleshooting")[0]) from error
    except Superseded as error:
        thread_id = config["configurable"]["thread_id"]
        raise Conflict(f"Thread {thread_id} was taken by a run or another update.") from error
