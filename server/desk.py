"""Our own graphs, opened for the server."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langgraph.graph.state import StateGraph

from engine.database import Pool
from engine.embedded import Servers
from engine.graphs import Admit
from engine.knowledge import Knowledge
from engine.settings import Settings
from graphs import demo, ingest, support
from nodes.guard import admitted
from nodes.resources import Resources, open_resources

DOORS: Mapping[str, Admit] = {"support": admitted}


@asynccontextmanager
async def open_desk(
    settings: Settings, servers: Servers, pool: Pool
) -> AsyncIterator[Mapping[str, "StateGraph[Any, Any, Any, Any]"]]:
    """Support and ingest. Over the API only files below `FRONTDESK_DATA/documents` are ingested."""
    async with open_resources(settings, pool, servers.database_url, demo.load) as resources:

        async def provide() -> Resources:
            return resources

        async def knowledge() -> Knowledge:
            return resources.knowledge

        yield {
            "support": support.build(provide),
            "ingest": ingest.build(knowledge, root=settings.data / "documents"),
        }
