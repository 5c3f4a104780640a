"""Executes one claimed run: what was asked for becomes a call of the graph, its output events."""

from collections.abc import AsyncIterator, Collection, Mapping
from importlib.metadata import version
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import RunControl
from langgraph.types import Command, Send, StreamMode

from engine.calls import callbacks
from engine.claims import Run
from engine.fence import fenced
from engine.graphs import Graphs
from engine.loopwatch import LoopWatch
from engine.metering import Metering, Prices
from engine.metrics import Metrics
from engine.payloads import Partials, shape
from engine.scope import Scope, metering, threaded
from engine.serialise import dumps
from engine.snapshots import address
from engine.telling import Writer

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

_LANGGRAPH = version("langgraph")


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
    ) -> None:
        self._graphs = graphs
        self._loop = loop
        self._metrics = metrics
        self._prices = prices or {}
        self._threaded = threaded

    async def execute(self, run: Run, writer: Writer, control: RunControl) -> Json | None:
        """Go on where the thread's checkpoints end. What the graph raises passes through.

        `GraphDrained` when it stopped at the end of a super-step, as `control` asked. Returns the
        thread's values, or None when only its checkpoints tell how it was left.
        """
        threaded.set(self._threaded)
        metering.set(self._metrics)
        with self._loop.attending():
            return await self._execute(run, writer, control)

    async def _execute(self, run: Run, writer: Writer, control: RunControl) -> Json | None:
        writer.put("metadata", dumps({"run_id": str(run.run_id), "attempt": run.attempt}))
        modes = run.kwargs["stream_mode"]
        partials = Partials() if "messages" in modes and "messages-tuple" not in modes else None
        shown = _native(modes)
        left: Json | None = None
        async for part in self._stream(run, control, shown | {"values"}):
            namespace, mode, data = part if run.kwargs["subgraphs"] else ((), *part)
            if mode == "values" and not namespace:
                left = data
            if mode not in shown:
                continue
            suffix = "".join(f"|{part}" for part in namespace)
            if mode == "messages" and partials:
                for name, payload in partials.add(data):
                    writer.put(name + suffix, dumps(payload))
            else:
                writer.put(mode + suffix, dumps(shape(mode, data)))
        return left if self._is_at_rest(run, left) else None

    def _is_at_rest(self, run: Run, left: Any) -> bool:
        """Whether the last values are the thread's, and nothing waits.

        What began with an input and was not interrupted has come to its end; after a command, or
        where an earlier attempt was, something may wait still.
        """
        asked = run.kwargs
        breaks = asked["interrupt_before"] or asked["interrupt_after"]
        begun = asked["input"] is not None and not asked["command"] and run.attempt == 1
        told = isinstance(left, dict) and "__interrupt__" not in left
        return begun and told and not breaks and self._graphs.tells_its_state(run.graph_id)

    async def _stream(
        self, run: Run, control: RunControl, modes: Collection[StreamMode]
    ) -> AsyncIterator[Any]:
        asked = run.kwargs
        resumed = run.attempt > 1 and await self._has_begun(run)
        stream = self._graphs.get(run.graph_id).astream(
            None if resumed else _input(asked),
            _config(run, self._heard_by(run), resumed=resumed),
            context=self._graphs.context(run.graph_id, asked["context"]),
            stream_mode=sorted(modes),
            interrupt_before=asked["interrupt_before"],
            interrupt_after=asked["interrupt_after"],
            durability=asked["durability"],
            subgraphs=asked["subgraphs"],
            control=control,
        )
        async for part in stream:
            yield part

    def _heard_by(self, run: Run) -> list[BaseCallbackHandler]:
        """Who hears of the calls of models and tools."""
        metering = Metering(self._metrics, self._prices, scope_of(run).tenant)
        return [metering, *callbacks()]

    async def _has_begun(self, run: Run) -> bool:
        """Whether an earlier attempt left a checkpoint, so that the input is already in."""
        config, saver = address(run.thread_id), self._graphs.saver(run.graph_id)
        await saver.aget_tuple(fenced(config, run.epoch))  # from now on that one adds none
        checkpoints = saver.alist(config, filter={"run_id": str(run.run_id)}, limit=1)
        return any([True async for _ in checkpoints])


def _native(modes: Collection[str]) -> set[StreamMode]:
    return {NATIVE[mode] for mode in modes if mode in NATIVE} or {"values"}


def scope_of(run: Run) -> Scope:
    user = run.kwargs["config"]["configurable"].get("langgraph_auth_user") or {}
    return Scope(run.graph_id, str(run.run_id), str(run.thread_id), user.get("tenant", ""))


def _input(asked: Mapping[str, Any]) -> Any:
    """A command wins over an input."""
    command = asked["command"]
    if not command:
        return asked["input"]
    update = command.get("update")
    if isinstance(update, list):
        update = [tuple(pair) for pair in update]
    return Command(update=update, resume=command.get("resume"), goto=_goto(command.get("goto")))


def _goto(goto: Any) -> Any:
    if isinstance(goto, list):
        return [_goto(one) for one in goto]
    if isinstance(goto, dict):
        return Send(goto["node"], goto.get("input"))
    return goto or ()


def _config(run: Run, heard_by: list[BaseCallbackHandler], *, resumed: bool) -> RunnableConfig:
    config = run.kwargs["config"]
    configurable: Json = dict(config["configurable"])
    if resumed:  # the fork has happened: go on behind it
        for key in ("checkpoint_id", "checkpoint_ns", "checkpoint_map"):
            configurable.pop(key, None)
    facts = {
        "run_id": str(run.run_id),
        "thread_id": str(run.thread_id),
        "run_attempt": run.attempt,
        "langgraph_version": _LANGGRAPH,
    }
    asked = {
        **config,
        "configurable": configurable,
        "metadata": {**run.metadata, **facts},
        "callbacks": heard_by,
    }
    return fenced(cast("RunnableConfig", asked), run.epoch)
