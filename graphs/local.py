"""The graphs as `langgraph.json` lists them: they open what they need at the first node call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from engine.checkpointing import open_checkpointer
from engine.embedded import open_servers
from engine.knowledge import Knowledge
from engine.settings import Settings
from graphs import demo
from graphs.ingest import Ingest
from graphs.ingest import build as build_ingest
from graphs.support import Support
from graphs.support import build as build_support
from nodes.resources import Lazy


@cache
def resources() -> Lazy:
    """One provider for every graph of this process."""
    return Lazy(demo.load)


@cache
def support() -> Support:
    """The support desk."""
    return build_support(resources())


@cache
def ingest() -> Ingest:
    """The knowledge pipeline; it reads files below the folder it was started in."""

    async def knowledge() -> Knowledge:
        return (await resources()()).knowledge

    return build_ingest(knowledge, root=Path())


@asynccontextmanager
async def checkpointer() -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """The checkpointer that `frontdesk serve` would open."""
    settings = await asyncio.to_thread(Settings)
    async with open_servers(settings) as servers, open_checkpointer(settings, servers) as saver:
        yield saver
