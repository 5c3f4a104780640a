"""What happens within a graph while it streams: the calls of its nodes, models and tools."""

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

_HIDDEN = "langsmith:hidden"


async def with_events(
    graph: Pregel[Any, Any, Any, Any], given: Any, config: RunnableConfig, root: UUID, **how: Any
) -> AsyncIterator[Any]:
    """The parts that `astream` yields, and between them its events (version 2) in mode `events`.

    `root` is the id of the graph's own call among them. Raises what the graph raises.
    """
    events = graph.astream_events(given, {**config, "run_id": root}, version="v2", **how)
    async for event in cast("AsyncIterator[dict[str, Any]]", events):
        if event["event"] == "on_chain_stream" and event["run_id"] == str(root):
            yield event["data"]["chunk"]
        elif _HIDDEN not in event.get("tags", ()):
            yield ((), "events", event) if how["subgraphs"] else ("events", event)
