"""The graphs of the project in `tests/api/project`, for `create_app`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langgraph.graph.state import StateGraph

from engine.database import Pool
from engine.embedded import Servers
from engine.settings import Settings
from tests.api.project import graphs


@asynccontextmanager
async def project_graphs(
    settings: Settings, servers: Servers, pool: Pool
) -> AsyncIterator[Mapping[str, "StateGraph[Any, Any, Any, Any]"]]:
    yield {
        "chat": graphs.chat,
        "approval": graphs.approval.builder,
        "work": graphs.work.builder,
        "par": graphs.make_par({}).builder,
        "toolagent": graphs.toolagent.builder,
    }
