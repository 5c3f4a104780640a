"""The types of a graph's state that its checkpoints may bring back, beside LangGraph's own."""

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, get_args, get_type_hints

from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from pydantic import BaseModel
from typing_extensions import is_typeddict


def types_of(graph: Pregel[Any, Any, Any, Any]) -> set[tuple[str, str]]:
    """Dataclasses, models, enums and named tuples that its schemas and its subgraphs' mention.

    As (module, name). Not those of graphs that the code of a node calls: LangGraph adds these
    itself where LANGGRAPH_STRICT_MSGPACK=true was set before it was imported.
    """
    found: set[tuple[str, str]] = set()
    seen: list[Any] = []
    graphs = [graph, *(subgraph for _, subgraph in graph.get_subgraphs(recurse=True))]
    todo = [one for each in graphs if isinstance(each, Pregel) for one in _declared(each)]
    while todo:
        one = todo.pop()
        if any(one is other for other in seen):  # some are not hashable
            continue
        seen.append(one)
        if _is_stored_by_name(one):
            found.add((one.__module__, one.__name__))
        todo += _inside(one)
    return found


def _declared(graph: Pregel[Any, Any, Any, Any]) -> Iterator[Any]:
    for channel in graph.channels.values():
        yield getattr(channel, "ValueType", None)
        yield getattr(channel, "UpdateType", None)
    if isinstance(graph, CompiledStateGraph):
        builder = graph.builder
        yield from (builder.state_schema, builder.input_schema, builder.output_schema)
        for node in builder.nodes.values():
            yield node.input_schema


def _is_stored_by_name(one: Any) -> bool:
    return isinstance(one, type) and (
        is_dataclass(one)
        or issubclass(one, BaseModel | Enum)
        or (issubclass(one, tuple) and hasattr(one, "_fields"))
        or isinstance(getattr(one, "__fields__", None), dict)  # a model of Pydantic 1
    )


def _inside(one: Any) -> Iterable[Any]:
    """The types that it is made of."""
    parts = [*get_args(one), getattr(one, "__supertype__", None)]
    if is_typeddict(one) or _is_stored_by_name(one):
        try:
            parts += get_type_hints(one, include_extras=True).values()
        except (NameError, TypeError):  # names that only a type checker can resolve
            parts += getattr(one, "__annotations__", {}).values()
    return [part for part in parts if part is not None]
