"""The long-term memory: the store that nodes and the API share, as the project wants it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore, ensure_embeddings

from checkpoints import CheckpointError, open_store
from engine.database import Pool
from engine.models.encoder import EncoderEmbeddings, open_encoder
from engine.project.loading import load
from engine.project.manifest import IndexPart, Project
from engine.settings import Settings

_KEY = "store.index.embed"


@asynccontextmanager
async def open_memory(project: Project, settings: Settings, pool: Pool) -> AsyncIterator[BaseStore]:
    """Raises `ConfigError` for an index that cannot be."""
    index, ttl = project.store.index, project.store.ttl
    options: dict[str, Any] = {}
    if index:
        embed = await _embeddings(project, index, settings)
        options["index"] = {"dims": index.dims, "embed": embed, "fields": index.fields or ["$"]}
    if ttl:
        options["ttl"] = ttl.model_dump(exclude_none=True)
    async with AsyncExitStack() as stack:
        opening = open_store(pool, schema=settings.checkpoint_schema, **options)
        try:
            store = await stack.enter_async_context(opening)
        except CheckpointError as error:
            raise project.problem("store.index.dims", str(error)) from error
        yield store


async def _embeddings(project: Project, index: IndexPart, settings: Settings) -> Embeddings:
    """From a file, a module, one of our own models, or whatever `langchain` knows by name."""
    provider, _, name = index.embed.rpartition(":")
    if not provider:
        raise project.problem(_KEY, f"{name} is neither path:name nor provider:model")
    if provider in {"openai", "local"}:
        encoder = await open_encoder(index.embed, settings)
        if encoder.dimensions != index.dims:
            said = f"{index.embed} has {encoder.dimensions} dimensions"
            raise project.problem("store.index.dims", said)
        return EncoderEmbeddings(encoder)
    try:
        if "." in provider or "/" in provider:
            return ensure_embeddings(load(project, index.embed, _KEY))
        return ensure_embeddings(index.embed)
    except (ImportError, ValueError) as error:
        raise project.problem(_KEY, str(error)) from error
