"""Serves the five-node graph alone: `python -m bench.five_server PORT`.

The settings are those of the environment.

FIRST_SECONDS and TOKENS_PER_SECOND simulate a model; without them there is none. With
FRONTDESK_ROLE=worker it takes no requests, and PORT is not used.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langgraph.graph.state import StateGraph

from bench.five import Pace, build
from engine.database import Pool
from engine.embedded import Servers
from engine.settings import Settings
from server.app import create_app, open_worker
from server.listener import Listener


@asynccontextmanager
async def five(
    settings: Settings, servers: Servers, pool: Pool
) -> AsyncIterator[Mapping[str, StateGraph[Any, Any, Any, Any]]]:
    """The graph `five`, paced as the environment says."""
    pace = None
    if "FIRST_SECONDS" in os.environ:
        pace = Pace(float(os.environ["FIRST_SECONDS"]), float(os.environ["TOKENS_PER_SECOND"]))
    yield {"five": build(pace)}


def main() -> None:
    """Serve, or only work, until told to stop."""
    settings = Settings(_env_file=None)
    if settings.role == "worker":
        asyncio.run(open_worker(settings, five))
        return
    Listener(create_app(settings, five), port=int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
