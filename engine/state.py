"""A thread's state and history, read and written through its graph."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import replace
from typing import Any
from uuid import UUID

from langgraph.errors import InvalidUpdateError
from langgraph.types import StateUpdate

from checkpoints import CheckpointError, Superseded
from engine.caller import Caller
from engine.errors import BadRequest, Conflict, Forbidden, NotFound
from engine.factories import Compiled
from engine.fence import fenced
from engine.graphs import Graphs, saver
from engine.ids import new_id
from engine.snapshots import Json, address, empty, render, settled
from engine.stopping import Stopping
from engine.threads import Thread, Threads

Checkpoint = Mapping[str, Any]


class States:
    """The states of a caller's threads, in the API's shapes."""

    def __init__(self, threads: Threads, graphs: Graphs, stopping: Stopping) -> None:
        self._threads = threads
        self._graphs = graphs
        self._stopping = stopping

    async def get(
        self,
        caller: Caller,
        thread_id: UUID,
        checkpoint: Checkpoint | None = None,
        *,
        subgraphs: bool = False,
    ) -> Json:
        """The state now or at a checkpoint; an unknown checkpoint has an empty one."""
        thread = await self._at_rest(caller, thread_id)
        config = address(thread_id, checkpoint)
        async with self._open(caller, thread) as graph:
            if graph is None:
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
        thread = await self._at_rest(caller, thread_id)
        async with self._open(caller, thread) as graph:
            if graph is None:
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
        may_edit(caller)
        thread = await self._threads.take(caller, thread_id)
        if thread.graph_id is None:
            raise BadRequest(_NO_GRAPH.format(thread_id))
        target = fenced(address(thread_id, checkpoint), thread.epoch)
        async with self._editing(caller, thread) as graph:
            with _refusing(thread_id):
                config = await graph.aupdate_state(target, values, as_node)
        pointer = {key: config["configurable"][key] for key in _REFERENCE}
        return {
            "checkpoint": pointer,
            "configurable": pointer,
            "checkpoint_id": pointer["checkpoint_id"],
        }

    async def replay(
        self, caller: Caller, thread_id: UUID, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> None:
        """Write checkpoints as if each of the `supersteps` had made its updates.

        Raises as `update`, and `NotFound` for a thread without a graph.
        """
        may_edit(caller)
        thread = await self._threads.take(caller, thread_id)
        if thread.graph_id is None:
            raise NotFound(_NO_GRAPH.format(thread_id))
        target = fenced(address(thread_id), thread.epoch)
        async with self._editing(caller, thread) as graph:
            with _refusing(thread_id):
                if not all(supersteps):
                    raise InvalidUpdateError("No updates provided")
                await graph.abulk_update_state(target, supersteps)

    async def patch(self, caller: Caller, thread_id: UUID, metadata: Mapping[str, Any]) -> None:
        """Merge `metadata` into the thread's, and into that of its latest checkpoint.

        What the engine says of a checkpoint stays. Raises `NotFound`, `Conflict`.
        """
        may_edit(caller)
        thread = await self._threads.take(caller, thread_id)
        await self._threads.patch(caller, thread_id, metadata)
        config = fenced(address(thread_id), thread.epoch)
        async with self._open(caller, thread) as graph:
            if graph is None or not (found := await saver(graph).aget_tuple(config)):
                return
            kept = {key: one for key, one in metadata.items() if key not in _OURS}
            merged: Any = {**found.metadata, **kept}
            place = fenced(found.parent_config or address(thread_id), thread.epoch)
            with _refusing(thread_id):
                await saver(graph).aput(place, found.checkpoint, merged, {})

    async def copy(
        self,
        caller: Caller,
        thread_id: UUID,
        owner: Caller | None = None,
        *,
        copy_id: UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Thread:
        """A new thread with all checkpoints, and no runs, of the caller or another `owner`.

        `metadata` is added to the source's. Raises `NotFound`.
        """
        before = await self._threads.get(caller, thread_id)
        target = copy_id or new_id()
        checkpointer = self._graphs.checkpointer
        try:
            await checkpointer.acopy_thread(str(thread_id), str(target))
            source = await self._threads.get(caller, thread_id)
            if source.status == "busy" or source.epoch != before.epoch:
                source = await self._as_left(caller, source, target)
            merged = {**source.metadata, **(metadata or {})}
            return await self._threads.add_copy(owner or caller, target, source, merged)
        except BaseException:
            await checkpointer.adelete_thread(str(target))
            raise

    async def _as_left(self, caller: Caller, source: Thread, target: UUID) -> Thread:
        """A thread at work, as it is left by those of its checkpoints that were copied."""
        async with self._open(caller, source) as graph:
            state = empty(address(target))
            if graph:
                state = await graph.aget_state(address(target))
        left = settled(state)
        return replace(
            source, status=left.status, values=left.values, interrupts=left.interrupts, error=None
        )

    @asynccontextmanager
    async def _editing(self, caller: Caller, thread: Thread) -> AsyncIterator[Compiled]:
        """The thread's graph, and at the end its row as the graph's state has become."""
        configured = _configured(caller, thread)
        graph_id = thread.graph_id or ""
        async with self._graphs.open(graph_id, "threads.update", configured) as graph:
            yield graph
            state = await graph.aget_state(address(thread.thread_id))
            await self._threads.settle(thread, settled(state))

    async def _at_rest(self, caller: Caller, thread_id: UUID) -> Thread:
        """The thread, once no run of it is being stopped."""
        thread = await self._threads.get(caller, thread_id)
        await self._stopping.settled(thread_id)
        return thread

    def _open(self, caller: Caller, thread: Thread) -> AbstractAsyncContextManager[Compiled | None]:
        """The graph that knows the state's channels: the one of the latest run."""
        graph_id = thread.graph_id
        if not graph_id or graph_id not in self._graphs:
            return nullcontext()
        return self._graphs.open(graph_id, "threads.read", _configured(caller, thread))


_NO_GRAPH = (
    "Thread '{}' has no assigned graph ID. This usually occurs when no runs have been made on this "
    "particular thread. This operation requires a graph ID. Please ensure a run has been made for "
    "the thread or manually update the thread metadata (by setting the 'graph_id' field) before "
    "running this operation."
)
_WRONG = (ValueError, TypeError, LookupError, AttributeError, NotImplementedError)
_OURS = frozenset(
    {"source", "step", "parents", "run_id", "thread_id", "graph_id", "assistant_id", "run_attempt"}
)
_REFERENCE = ("thread_id", "checkpoint_ns", "checkpoint_id")


def _configured(caller: Caller, thread: Thread) -> Json:
    """With what a graph that is built for each use is built: as for the thread's latest run."""
    known = (thread.config or {}).get("configurable") or {}
    ours = {
        "thread_id": str(thread.thread_id),
        "graph_id": thread.graph_id,
        "langgraph_auth_user": caller.as_user(),
    }
    return {**(thread.config or {}), "configurable": {**known, **ours}}


def may_edit(caller: Caller) -> None:
    """Whoever writes the state may put words into any mouth. Raises `Forbidden`."""
    if not caller.edits:
        raise Forbidden("A public key cannot edit a thread's state.")


@contextmanager
def _refusing(thread_id: UUID) -> Iterator[None]:
    """What a graph, its reducers or its checkpointer refuse, in our words."""
    try:
        yield
    except InvalidUpdateError as error:
        raise BadRequest(str(error).partition("\nFor troubleshooting")[0]) from error
    except Superseded as error:
        raise Conflict(f"Thread {thread_id} was taken by a run or another update.") from error
    except CheckpointError:
        raise
    except _WRONG as error:
        raise BadRequest(f"The graph cannot take this: {error!r}") from error
