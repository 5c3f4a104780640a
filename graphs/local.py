"""The graphs as `langgraph.json` lists them: they open what they need at the first node call."""

from functools import cache
from pathlib import Path

from engine.knowledge import Knowledge
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
