"""The graphs this process serves, on its checkpointer and its store."""

import logging
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from copy import copy
from functools import lru_cache
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.channels import EphemeralValue, UntrackedValue
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext
from pydantic import PydanticUserError, TypeAdapter, ValidationError

from checkpoints.checkpointer import Checkpointer
from engine import drawing
from engine.allowed import types_of
from engine.errors import ConfigError, Invalid, NotFound, Unbuildable
from engine.factories import Compiled, Factory, Uncompiled, Use
from engine.namespaces import of_runs, of_tenant
from engine.wrapping import wrap_nodes

log = logging.getLogger(__name__)

Admit = Callable[[Any], Any]

Source = Uncompiled | Compiled | Factory
"""What a graph is made of: built once, or anew for each use."""


class Graphs:
    """Graphs by id. Those that are built for each use are opened, the others are just there."""

    def __init__(
        self,
        graphs: Mapping[str, Source],
        checkpointer: BaseCheckpointSaver[Any],
        store: BaseStore,
        admit: Mapping[str, Admit] | None = None,
    ) -> None:
        """`admit`: what the door of a graph makes of an input or command before it is stored."""
        self.admit = admit or {}
        self.checkpointer = cast("Checkpointer", checkpointer)  # all but some tests have ours
        self.memory = store  # of all tenants
        self.store = of_runs(store)
        self._ids = list(graphs)
        self._factories = {id_: one for id_, one in graphs.items() if isinstance(one, Factory)}
        self._compiled = {
            id_: self._prepared(id_, one)
            for id_, one in graphs.items()
            if not isinstance(one, Factory)
        }
        self._samples: dict[str, Compiled] = {}
        self._inputs: dict[str, dict[str, Any]] = {}

    async def try_factories(self) -> None:
        """Build each once, as a sample of what it makes.

        One that fails may still work for a run, so that is a warning. Raises `ConfigError` for what
        is no graph.
        """
        for graph_id in self._factories:
            try:
                async with self.open(graph_id, "assistants.read"):
                    log.debug("graph %s can be built", graph_id)
            except Unbuildable as error:
                log.warning("%s", error, exc_info=error.__cause__)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, graph_id: object) -> bool:
        return graph_id in self._compiled or graph_id in self._factories

    def check(self, graph_id: str) -> None:
        """Raises `NotFound`, which names the graphs there are."""
        if graph_id not in self:
            raise NotFound(f"Graph '{graph_id}' not found. Expected one of: {sorted(self)}")

    def open(
        self,
        graph_id: str,
        access: AccessContext,
        config: Mapping[str, Any] | None = None,
        context: Any = None,
    ) -> AbstractAsyncContextManager[Compiled]:
        """The graph while it is used: for a run, to read or write a thread, to be described.

        A factory gets the `config`, in whose `configurable` the caller is, and the `context`. What
        it raises for a run passes through; else it is `Unbuildable`, unless it could be built
        before. Raises `NotFound`.
        """
        if graph := self._compiled.get(graph_id):
            return nullcontext(graph)
        self.check(graph_id)
        use = Use(access, config or {}, context)
        if access == "threads.create_run":
            return self._running(graph_id, use)
        return self._reading(graph_id, use)

    @asynccontextmanager
    async def _running(self, graph_id: str, use: Use) -> AsyncIterator[Compiled]:
        store = of_tenant(self.memory, use.tenant) if use.tenant else self.store
        async with self._factories[graph_id].open(use, store) as made:
            graph = self._prepared(graph_id, made)
            self._samples.setdefault(graph_id, graph)
            yield graph

    @asynccontextmanager
    async def _reading(self, graph_id: str, use: Use) -> AsyncIterator[Compiled]:
        async with AsyncExitStack() as stack:
            try:
                graph = await stack.enter_async_context(self._running(graph_id, use))
            except ConfigError:
                raise
            except Exception as error:
                if not (sample := self._samples.get(graph_id)):
                    raise Unbuildable(f"Graph '{graph_id}' cannot be built: {error!r}") from error
                log.warning("graph %s as it was built before: %r", graph_id, error)
                graph = sample
            yield graph

    def _prepared(self, graph_id: str, made: Any) -> Compiled:
        """A copy on our checkpointer and store. Raises `ConfigError` for what is no graph."""
        if isinstance(made, StateGraph):
            made = made.compile(name=graph_id)
        if not isinstance(made, Pregel):
            raise ConfigError(
                f"Graph '{graph_id}' is of type {type(made).__name__}, which is no graph."
            )
        graph = copy(made)
        graph.nodes = dict(made.nodes)
        graph.checkpointer = self.checkpointer.with_allowlist(types_of(graph))
        graph.store = self.store
        if graph.name == "LangGraph":
            graph.name = graph_id
        wrap_nodes(graph)
        return graph

    def get(self, graph_id: str) -> Compiled:
        """The graph, or a sample of what its factory makes. Raises `NotFound`, `Unbuildable`."""
        self.check(graph_id)
        if graph := self._compiled.get(graph_id) or self._samples.get(graph_id):
            return graph
        raise Unbuildable(f"Graph '{graph_id}' has not been built yet.")

    def threaded(self, names: str) -> frozenset[str]:
        """The nodes that `names`, comma-separated, mean: `graph.node`, or `*` for all.

        Raises `ConfigError` for one that no graph has.
        """
        wanted = frozenset(name.strip() for name in names.split(",") if name.strip())
        built = {**self._samples, **self._compiled}
        known = {f"{id_}.{node}" for id_, graph in built.items() for node in _nodes(graph)}
        if unknown := sorted(wanted - known - {"*"}):
            raise ConfigError(
                f"FRONTDESK_THREADED_NODES: there is no node {', '.join(unknown)}; "
                f"there are {', '.join(sorted(known))}."
            )
        return wanted

    def context(self, graph_id: str, context: Mapping[str, Any]) -> Any:
        """The run's context as its graph declares it; unknown keys are left out.

        Raises `Invalid` where a value has the wrong type.
        """
        graph = self._compiled.get(graph_id) or self._samples.get(graph_id)
        schema = graph.context_schema if graph else None
        if not (adapter := _adapter(cast("Hashable", schema)) if schema else None):
            return dict(context)
        try:
            return adapter.validate_python(dict(context))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in ("context", *first["loc"]))
            raise Invalid(f"{where}: {first['msg']}") from error

    async def draw(
        self, graph_id: str, config: Mapping[str, Any] | None = None, *, depth: bool | int
    ) -> dict[str, Any]:
        """Nodes and edges; `depth` subgraph levels expanded, True for all."""
        async with self.open(graph_id, "assistants.read", config) as graph:
            return drawing.draw(graph, depth=depth)

    async def schemas(
        self, graph_id: str, config: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """JSON Schemas of what goes in, what comes out, the state and the context."""
        async with self.open(graph_id, "assistants.read", config) as graph:
            return {"graph_id": graph_id, **drawing.schemas(graph)}

    async def subgraphs(
        self,
        graph_id: str,
        namespace: str | None,
        config: Mapping[str, Any] | None = None,
        *,
        recurse: bool,
    ) -> dict[str, Any]:
        """The same of its subgraphs, or of the one at `namespace`, by namespace."""
        async with self.open(graph_id, "assistants.read", config) as graph:
            found = graph.aget_subgraphs(namespace=namespace, recurse=recurse)
            return {
                name: drawing.schemas(subgraph)
                async for name, subgraph in found
                if isinstance(subgraph, Pregel)
            }

    async def input_schema(self, graph_id: str) -> dict[str, Any]:
        """The JSON Schema of what goes in, made once: making it takes milliseconds."""
        if graph_id not in self._inputs:
            async with self.open(graph_id, "assistants.read") as graph:
                self._inputs[graph_id] = drawing.input_schema(graph)
        return self._inputs[graph_id]


def saver(graph: Compiled) -> BaseCheckpointSaver[Any]:
    """The checkpointer that knows the graph's own types."""
    return cast("BaseCheckpointSaver[Any]", graph.checkpointer)


def tells_its_state(graph: Compiled) -> bool:
    """Whether the values it streams last are those that its checkpoints hold."""
    channels = (graph.channels[name] for name in graph.stream_channels_list)
    passing = any(isinstance(one, UntrackedValue | EphemeralValue) for one in channels)
    return not (passing or graph.interrupt_before_nodes or graph.interrupt_after_nodes)


def _nodes(graph: Compiled) -> Iterator[str]:
    """The names of its nodes and of its subgraphs'."""
    for name, node in graph.nodes.items():
        if not name.startswith("__"):
            yield name
        for subgraph in node.subgraphs:
            if isinstance(subgraph, Pregel):
                yield from _nodes(subgraph)


@lru_cache(maxsize=256)
def _adapter(schema: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(schema)
    except PydanticUserError:  # such as typing.TypedDict before Python 3.12
        return None


def at(thread_id: object, **configurable: Any) -> RunnableConfig:
    """A config that addresses a thread's state."""
    return {"configurable": {"thread_id": str(thread_id), "checkpoint_ns": "", **configurable}}
