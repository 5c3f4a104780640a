"""Wraps the nodes of compiled graphs, so that what happens in them is known to be theirs."""

from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import replace
from time import perf_counter
from typing import Any, cast

from langgraph._internal._runnable import RunnableCallable
from langgraph.pregel import Pregel

from engine.offload import in_thread
from engine.scope import metering, scope, threaded
from engine.telemetry import span

_Run = Callable[..., Awaitable[Any]]


class NodeExit(Exception):
    """A node wanted to end the process, which is not its own."""


class _Named:
    """A node's function, run in the scope of the node; where that is wanted, in a thread."""

    def __init__(self, node: str, run: _Run, *, blocks: bool) -> None:
        self._node = node
        self._run = run
        self._blocks = blocks

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outer = scope.get()
        if outer is None:  # the graph is used without an engine
            return await self._run(*args, **kwargs)
        token, began = scope.set(replace(outer, node=self._node)), perf_counter()
        name = f"{outer.graph}.{self._node}"
        try:
            with span(f"node {self._node}", {"frontdesk.node": self._node}):
                if self._blocks and threaded.get() & {"*", name}:
                    return await in_thread(lambda: self._run(*args, **kwargs), name)
                return await self._run(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt) as error:  # would end the event loop
            raise NodeExit(f"{type(error).__name__}: {error}") from error
        finally:
            scope.reset(token)
            if metrics := metering.get():
                taken = perf_counter() - began
                metrics.node_seconds.labels(outer.graph, self._node).observe(taken)


def wrap_nodes(graph: Pregel[Any, Any, Any, Any]) -> None:
    """Wrap each node of the graph and of its subgraphs, once however often it is asked.

    Nodes that are Runnables of LangChain rather than functions are left as they are.
    """
    for name, node in graph.nodes.items():
        bound = node.bound
        if isinstance(bound, RunnableCallable) and _wants(name, bound):
            wrapped = copy(bound)
            wrapped.afunc = _Named(name, cast("_Run", bound.afunc), blocks=not _is_in_thread(bound))
            graph.nodes[name] = node.copy({"bound": wrapped})
        for subgraph in node.subgraphs:
            if isinstance(subgraph, Pregel):
                wrap_nodes(subgraph)


def _wants(name: str, bound: RunnableCallable) -> bool:
    return bool(bound.afunc) and not name.startswith("__") and not isinstance(bound.afunc, _Named)


def _is_in_thread(bound: RunnableCallable) -> bool:
    """Whether it is a plain function, which LangGraph itself runs in a thread."""
    return type(bound) is RunnableCallable and bound.func is not None
