"""What turns texts into vectors, by `provider:model`."""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from langchain_core.embeddings import Embeddings

from engine.errors import ConfigError
from engine.models.batching import BatchingEncoder
from engine.models.minilm import DIMENSIONS, Array, load_minilm
from engine.models.weights import find_weights
from engine.settings import Settings


class Encoder(Protocol):
    """Texts to vectors whose dot product is their cosine."""

    name: str
    """`provider:model`: vectors of encoders with different names cannot be compared."""
    dimensions: int

    async def encode(self, texts: Sequence[str]) -> Array:
        """Vectors (n, dimensions), float32, of length 1."""


class EncoderEmbeddings(Embeddings):
    """An encoder as LangChain's vector stores want it. Async only."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text."""
        vectors: list[list[float]] = (await self._encoder.encode(texts)).tolist()
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """The same as for a document: our encoders are symmetric."""
        return (await self.aembed_documents([text]))[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Refused: it would block the event loop."""
        raise TypeError("Encoders are async: call aembed_documents.")

    def embed_query(self, text: str) -> list[float]:
        """Refused: it would block the event loop."""
        raise TypeError("Encoders are async: call aembed_query.")


async def open_encoder(name: str, settings: Settings, *, http_client: Any = None) -> Encoder:
    """`local:minilm`, `local:minilm-int8` or `openai:NAME`; local weights load at the first use.

    `http_client` (an `httpx2.AsyncClient`) serves hosted models and is closed by its owner.
    Raises `ConfigError` for an unknown name, a missing extra, or weights that are not the known
    ones; `Unavailable` when a hosted model does not answer.
    """
    provider, _, model = name.partition(":")
    if provider == "openai" and model:
        from engine.models.openai_encoder import open_openai  # noqa: PLC0415 - half a second

        return await open_openai(model, settings, http_client)
    if name == "local:minilm":
        folder = await asyncio.to_thread(find_weights)
        return BatchingEncoder(name, DIMENSIONS, lambda: load_minilm(folder))
    if name == "local:minilm-int8":
        return await asyncio.to_thread(_open_int8, name, settings)
    raise ConfigError(
        f"Unknown embedding model {name!r}: use local:minilm, local:minilm-int8 or openai:NAME."
    )


def _open_int8(name: str, settings: Settings) -> Encoder:
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        raise ConfigError(f"{name} needs the extra `fast`: pip install 'frontdesk[fast]'.")
    from engine.models.minilm_int8 import load_minilm_int8  # noqa: PLC0415 - imports the extra

    folder, cache = find_weights(), settings.data / "models"
    return BatchingEncoder(name, DIMENSIONS, lambda: load_minilm_int8(folder, cache))
