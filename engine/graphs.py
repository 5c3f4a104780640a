"""The graphs this process serves, compiled on its checkpointer."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.channels import EphemeralValue, UntrackedValue
from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph, StateGraph
from langgraph.pregel import Pregel
from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError, create_model

from engine.allowed import types_of
from engine.errors import ConfigError, Invalid, NotFound
from engine.wrapping import wrap_nodes

Compiled = CompiledStateGraph[Any, Any, Any, Any]


Admit = Callable[[Any], Any]


class Graphs:
    """Compiled graphs by id."""

    def __init__(
        self,
        graphs: Mapping[str, "StateGraph[Any, Any, Any, Any]"],
        checkpointer: BaseCheckpointSaver[Any],
        admit: Mapping[str, Admit] | None = None,
    ) -> None:
        """`admit`: what the door of a graph makes of an input or command before it is stored."""
        self.admit = admit or {}
        self.checkpointer = checkpointer
        self._compiled: dict[str, Compiled] = {
            name: graph.compile(name=name) for name, graph in graphs.items()
        }
        for compiled in self._compiled.values():
            compiled.checkpointer = checkpointer.with_allowlist(types_of(compiled))
            wrap_nodes(compiled)
        self._contexts = {name: _adapter(graph.context_schema) for name, graph in graphs.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._compiled)

    def __contains__(self, graph_id: object) -> bool:
        return graph_id in self._compiled

    def get(self, graph_id: str) -> Compiled:
        """Raises `NotFound`, which names the graphs there are."""
        if graph := self._compiled.get(graph_id):
            return graph
        raise NotFound(f"Graph '{graph_id}' not found. Expected one of: {sorted(self)}")

    def tells_its_state(self, graph_id: str) -> bool:
        """Whether the values it streams last are those that its checkpoints hold."""
        graph = self.get(graph_id)
        channels = (graph.channels[name] for name in graph.stream_channels_list)
        passing = any(isinstance(one, UntrackedValue | EphemeralValue) for one in channels)
        return not (passing or graph.interrupt_before_nodes or graph.interrupt_after_nodes)

    def threaded(self, names: str) -> frozenset[str]:
        """The nodes that `names`, comma-separated, mean: `graph.node`, or `*` for all.

        Raises `ConfigError` for one that no graph has.
        """
        wanted = frozenset(name.strip() for name in names.split(",") if name.strip())
        known = {f"{graph}.{node}" for graph in self for node in _nodes(self.get(graph))}
        if unknown := sorted(wanted - known - {"*"}):
            raise ConfigError(
                f"FRONTDESK_THREADED_NODES: there is no node {', '.join(unknown)}; "
                f"there are {', '.join(sorted(known))}."
            )
        return wanted

    def saver(self, graph_id: str) -> BaseCheckpointSaver[Any]:
        """The checkpointer that knows the graph's own types."""
        return cast("BaseCheckpointSaver[Any]", self.get(graph_id).checkpointer)

    def context(self, graph_id: str, context: Mapping[str, Any]) -> Any:
        """The run's context as its graph declares it; unknown keys are left out.

        Raises `Invalid` where a value has the wrong type.
        """
        adapter = self._contexts[graph_id]
        if adapter is None:
            return dict(context)
        try:
            return adapter.validate_python(dict(context))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in ("context", *first["loc"]))
            raise Invalid(f"{where}: {first['msg']}") from error

    def draw(self, graph_id: str, *, depth: bool | int) -> dict[str, Any]:
        """Nodes and edges; `depth` subgraph levels expanded, True for all."""
        drawing = self.get(graph_id).get_graph(xray=depth)
        nodes: list[dict[str, Any]] = []
        for node in drawing.nodes.values():
            if node.id.rpartition(":")[2] == "__end__":
                nodes.append({"id": node.id})
            else:
                nodes.append({"id": node.id, "type": "runnable", "data": {"name": node.name}})
        edges: list[dict[str, Any]] = []
        for edge in drawing.edges:
            row: dict[str, Any] = {"source": edge.source, "target": edge.target}
            if edge.data is not None:
                row["data"] = edge.data
            if edge.conditional:
                row["conditional"] = True
            edges.append(row)
        return {"nodes": nodes, "edges": edges}

    def schemas(self, graph_id: str) -> dict[str, Any]:
        """JSON Schemas of what goes in, what comes out, the state and the context."""
        graph = self.get(graph_id)
        context = _schema(graph.get_context_jsonschema) if graph.context_schema else None
        return {
            "graph_id": graph_id,
            "input_schema": _schema(graph.get_input_jsonschema),
            "output_schema": _schema(graph.get_output_jsonschema),
            "state_schema": _schema(lambda: _state_model(graph).model_json_schema()),
            "config_schema": context or {},
            "context_schema": context,
        }


def _nodes(graph: Pregel[Any, Any, Any, Any]) -> Iterator[str]:
    """The names of its nodes and of its subgraphs'."""
    for name, node in graph.nodes.items():
        if not name.startswith("__"):
            yield name
        for subgraph in node.subgraphs:
            if isinstance(subgraph, Pregel):
                yield from _nodes(subgraph)


def _adapter(schema: type[Any] | None) -> TypeAdapter[Any] | None:
    if schema is None:
        return None
    try:
        return TypeAdapter(schema)
    except PydanticUserError:  # such as typing.TypedDict before Python 3.12
        return None


def _schema(build: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
    """What `build` makes, or nothing for types that JSON Schema cannot describe."""
    try:
        return build()
    except PydanticUserError:
        return {}


def _state_model(graph: Compiled) -> type[BaseModel]:
    channels = ((name, graph.channels[name]) for name in graph.stream_channels_list)
    fields: dict[str, Any] = {
        name: (channel.UpdateType, None)
        for name, channel in channels
        if isinstance(channel, BaseChannel)
    }
    return create_model(f"{graph.name}_state", **fields)


def at(thread_id: object, **configurable: Any) -> RunnableConfig:
    """A config that addresses a thread's state."""
    return {"configurable": {"thread_id": str(thread_id), "checkpoint_ns": "", **configurable}}
