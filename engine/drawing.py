"""What a graph looks like: its nodes and edges, and the JSON Schemas of its data."""

from collections.abc import Callable
from typing import Any

from langgraph.channels.base import BaseChannel
from pydantic import BaseModel, create_model

from engine.factories import Compiled
from engine.hints import INDESCRIBABLE, described, schema_of


def draw(graph: Compiled, *, depth: bool | int) -> dict[str, Any]:
    """Nodes and edges; `depth` subgraph levels expanded, True for all."""
    drawing = graph.get_graph(xray=depth)
    nodes: list[dict[str, Any]] = []
    for node in drawing.nodes.values():
        if node.id.rpartition(":")[2] == "__end__":
            nodes.append({"id": node.id})
            continue
        shown: dict[str, Any] = {"id": node.id, "type": "runnable", "data": {"name": node.id}}
        if node.metadata:  # what it was added with, and the names of tools
            shown["metadata"] = node.metadata
        nodes.append(shown)
    edges: list[dict[str, Any]] = []
    for edge in drawing.edges:
        row: dict[str, Any] = {"source": edge.source, "target": edge.target}
        if edge.data is not None:
            row["data"] = edge.data
        if edge.conditional:
            row["conditional"] = True
        edges.append(row)
    return {"nodes": nodes, "edges": edges}


def schemas(graph: Compiled) -> dict[str, Any]:
    """JSON Schemas of what goes in, what comes out, the state and the context."""
    told = graph.context_schema
    context = _schema(graph.get_context_jsonschema, told) if told else None
    return {
        "input_schema": input_schema(graph),
        "output_schema": _schema(graph.get_output_jsonschema, _declared(graph, "output_schema")),
        "state_schema": _state_model(graph).model_json_schema(),
        "config_schema": context or {},
        "context_schema": context,
    }


def input_schema(graph: Compiled) -> dict[str, Any]:
    """The JSON Schema of what goes in; empty for types that it cannot describe."""
    return _schema(graph.get_input_jsonschema, _declared(graph, "input_schema")) or {}


def _declared(graph: Compiled, name: str) -> Any:
    return getattr(getattr(graph, "builder", None), name, None)


def _schema(build: Callable[[], dict[str, Any] | None], kind: Any) -> dict[str, Any] | None:
    """What `build` makes, else what is known of the class."""
    try:
        return build()
    except INDESCRIBABLE:
        return schema_of(kind)


def _state_model(graph: Compiled) -> type[BaseModel]:
    channels = ((name, graph.channels[name]) for name in graph.stream_channels_list)
    fields: dict[str, Any] = {
        name: (described(channel.UpdateType), None)
        for name, channel in channels
        if isinstance(channel, BaseChannel)
    }
    return create_model(graph.get_name("state"), **fields)
