"""Executes one claimed run: what was asked for becomes a call of the graph, its output events."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from importlib.metadata import version
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import RunControl
from langgraph.types import StreamMode

from engine.calls import callbacks
from engine.claims import Run
from engine.commands import given
from engine.config import EVENT_STREAMING
from engine.factories import Compiled
from engine.fence import fenced
from engine.graphs import Graphs, saver, tells_its_state
from engine.happening import with_events
from engine.loopwatch import LoopWatch
from engine.metering import Metering, Prices
from engine.metrics import Metrics
from engine.payloads import Partials, shape
from engine.scope import Scope, metering, threaded
from engine.serialise import dumps
from engine.snapshots import address
from engine.telling import Writer
from engine.user import User

Json = dict[str, Any]

NATIVE: Mapping[str, StreamMode] = {
    "values": "values",
    "updates": "updates",
    "messages": "messages",
    "messages-tuple": "messages",
    "custom": "custom",
    "tasks": "tasks",
    "checkpoints": "checkpoints",
    "debug": "debug",
}
"""The API's stream modes, and LangGraph's."""

EVENTS = "events"
"""The stream mode of all that happens within the graph, as `astream_events` tells it."""

MODES = (*NATIVE, EVENTS)
_TOOLS = {cast("StreamMode", "tools")}  # LangGraph streams it, though its type does not say so
_LANGGRAPH = version("langgraph")
_TOLD = frozenset({"langgraph_auth_user_id", "langgraph_request_id"})
_POINTER = frozenset({"checkpoint_id", "checkpoint_ns", "checkpoint_map"})
_SECRET = re.compile("key|token|secret|password|auth", re.IGNORECASE)


class OutOfTime(Exception):
    """The run took longer than it may."""


class Executor:
    """Runs graphs on their threads."""

    def __init__(
        self,
        graphs: Graphs,
        loop: LoopWatch,
        metrics: Metrics,
        *,
        prices: Prices | None = None,
        threaded: frozenset[str] = frozenset(),
        seconds: float | None = None,
    ) -> None:
        """`seconds`: how long one attempt may take."""
        self._graphs = graphs
        self._loop = loop
        self._metrics = metrics
        self._prices = prices or {}
        self._threaded = threaded
        self._seconds = seconds

    async def execute(self, run: Run, writer: Writer, control: RunControl) -> Json | None:
        """Go on where the thread's checkpoints end. What the graph raises passes through.

        `GraphDrained` when it stopped at the end of a super-step, as `control` asked; `OutOfTime`.
        Returns the thread's values, or None when only its checkpoints tell how it was left.
        """
        threaded.set(self._threaded)
        metering.set(self._metrics)
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                return await self._open(run, writer, control)
        except TimeoutError as error:
            if limit.expired():
                raise OutOfTime from error
            raise

    async def _open(self, run: Run, writer: Writer, control: RunControl) -> Json | None:
        writer.put("metadata", dumps({"run_id": str(run.run_id), "attempt": run.attempt}))
        asked = run.kwargs
        with self._loop.attending():
            context = self._graphs.context(run.graph_id, asked["context"])
            opened = self._graphs.open(run.graph_id, "threads.create_run", asked["config"], context)
            async with opened as graph:
                return await self._execute(graph, run, context, writer, control)

    async def _execute(
        self, graph: Compiled, run: Run, context: Any, writer: Writer, control: RunControl
    ) -> Json | None:
        modes = run.kwargs["stream_mode"]
        events = EVENT_STREAMING in run.kwargs["config"]["configurable"]
        tuples = events or "messages-tuple" in modes
        partials = Partials() if "messages" in modes and not tuples else None
        shown = _native(modes) | (_TOOLS if events else set())
        left: Json | None = None
        async for part in await self._stream(graph, run, context, control, shown | {"values"}):
            namespace, mode, data = part if run.kwargs["subgraphs"] else ((), *part)
            if mode == "values" and not namespace:
                left = data
            if mode not in shown and mode != EVENTS:
                continue
            suffix = "".join(f"|{part}" for part in namespace)
            if mode == "messages" and partials:
                for name, payload in partials.add(data):  # which have the names of the root's
                    writer.put(name, dumps(payload))
            else:
                writer.put(mode + suffix, dumps(shape(mode, data, brief=events)))
        return left if _is_at_rest(graph, run, left) else None

    async def _stream(
        self,
        graph: Compiled,
        run: Run,
        context: Any,
        control: RunControl,
        modes: Collection[StreamMode],
    ) -> AsyncIterator[Any]:
        asked = run.kwargs
        resumed = run.attempt > 1 and await _has_begun(graph, run)
        config = _config(run, self._heard_by(run), resumed=resumed)
        how = {
            "context": context,
            "stream_mode": sorted(modes),
            "interrupt_before": asked["interrupt_before"],
            "interrupt_after": asked["interrupt_after"],
            "durability": asked["durability"],
            "subgraphs": asked["subgraphs"],
            "control": control,
        }
        what = None if resumed else given(asked)
        if EVENTS in asked["stream_mode"]:
            return with_events(graph, what, config, run.run_id, **how)
        return graph.astream(what, config, **how)

    def _heard_by(self, run: Run) -> list[BaseCallbackHandler]:
        """Who hears of the calls of models and tools."""
        metering = Metering(self._metrics, self._prices, scope_of(run).tenant)
        return [metering, *callbacks()]


async def _has_begun(graph: Compiled, run: Run) -> bool:
    """Whether an earlier attempt left a checkpoint, so that the input is already in."""
    config, checkpointer = address(run.thread_id), saver(graph)
    await checkpointer.aget_tuple(fenced(config, run.epoch))  # from now on that one adds none
    checkpoints = checkpointer.alist(config, filter={"run_id": str(run.run_id)}, limit=1)
    return any([True async for _ in checkpoints])


def _is_at_rest(graph: Compiled, run: Run, left: Any) -> bool:
    """Whether the last values are the thread's, and nothing waits.

    What began with an input and was not interrupted has come to its end; after a command, or
    where an earlier attempt was, something may wait still.
    """
    asked = run.kwargs
    breaks = asked["interrupt_before"] or asked["interrupt_after"]
    begun = asked["input"] is not None and not asked["command"] and run.attempt == 1
    told = isinstance(left, dict) and "__interrupt__" not in left
    return begun and told and not breaks and tells_its_state(graph)


def _native(modes: Collection[str]) -> set[StreamMode]:
    """What is shown of the graph; the values where nothing was named that there is."""
    chosen = {NATIVE[mode] for mode in modes if mode in NATIVE}
    return chosen if chosen or EVENTS in modes else {"values"}


def scope_of(run: Run) -> Scope:
    user = run.kwargs["config"]["configurable"].get("langgraph_auth_user") or {}
    tenant = user.get("tenant", "")
    return Scope(run.graph_id, str(run.run_id), str(run.thread_id), tenant, user=user)


def _config(run: Run, heard_by: list[BaseCallbackHandler], *, resumed: bool) -> RunnableConfig:
    config = run.kwargs["config"]
    configurable: Json = dict(config["configurable"])
    if user := configurable.get("langgraph_auth_user"):
        configurable["langgraph_auth_user"] = User(user)
    if resumed:  # the fork has happened: go on behind it
        for key in _POINTER:
            configurable.pop(key, None)
    facts = {
        "run_id": str(run.run_id),
        "thread_id": str(run.thread_id),
        "run_attempt": run.attempt,
        "langgraph_version": _LANGGRAPH,
    }
    asked = {
        **config,
        "configurable": {**configurable, "__metadata_keys": _told(configurable)},
        "metadata": {**config.get("metadata", {}), **run.metadata, **facts},
        "callbacks": heard_by,
    }
    return fenced(cast("RunnableConfig", asked), run.epoch)


def _told(configurable: Mapping[str, Any]) -> list[str]:
    """What checkpoints say of how their run was configured: not what looks like a secret."""
    return [
        key
        for key, value in configurable.items()
        if key in _TOLD
        or (
            isinstance(value, str | int | float)
            and key not in _POINTER
            and not key.startswith(("__", "langgraph_"))
            and not _SECRET.search(key)
        )
    ]
