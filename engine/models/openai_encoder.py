"""Embeddings from any server that speaks OpenAI's protocol."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import openai
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from engine.errors import ConfigError, Unavailable
from engine.models.minilm import Array
from engine.settings import Settings


class OpenAIEncoder:
    """An `Encoder` over `OpenAIEmbeddings`; its number of dimensions is what the server answers."""

    def __init__(self, name: str, dimensions: int, embeddings: OpenAIEmbeddings) -> None:
        self.name = name
        self.dimensions = dimensions
        self._embeddings = embeddings

    async def encode(self, texts: Sequence[str]) -> Array:
        """Vectors (n, dimensions), float32, of length 1.

        Raises `Unavailable` when no answer came after all retries.
        """
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        try:
            return await _embed(self._embeddings, texts)
        except openai.BadRequestError:
            raise
        except openai.APIError as error:
            raise Unavailable(f"{self.name} is not available ({type(error).__name__}).") from error


async def open_openai(model: str, settings: Settings, http_client: Any = None) -> OpenAIEncoder:
    """Ask the server once, to know the dimensions.

    `http_client` (an `httpx2.AsyncClient`) is closed by whoever opened it.
    Raises `ConfigError` when the key or the model is not accepted, `Unavailable` without an answer.
    """
    name = f"openai:{model}"
    key = settings.openai_api_key.get_secret_value()
    if not key and settings.openai_base_url is None:
        raise ConfigError(f"{name} needs OPENAI_API_KEY (or OPENAI_BASE_URL of a local server).")
    embeddings = OpenAIEmbeddings(
        model=model,
        openai_api_base=settings.openai_base_url,
        openai_api_key=SecretStr(key or "none"),
        request_timeout=settings.model_timeout,
        max_retries=settings.model_retries,
        # Counting tokens would download tiktoken's tables; our passages are short enough.
        check_embedding_ctx_length=False,
        http_async_client=http_client,
    )
    try:
        vectors = await _embed(embeddings, ["How many dimensions?"])
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise ConfigError(f"{name} refuses the key in OPENAI_API_KEY.") from error
    except (openai.BadRequestError, openai.NotFoundError) as error:
        raise ConfigError(f"{name} cannot embed: {error}") from error
    except openai.APIError as error:
        raise Unavailable(f"{name} is not available ({type(error).__name__}).") from error
    return OpenAIEncoder(name, vectors.shape[1], embeddings)


async def _embed(embeddings: OpenAIEmbeddings, texts: Sequence[str]) -> Array:
    # The empty text is not accepted; a space means as little.
    rows = await embeddings.aembed_documents([text or " " for text in texts])
    vectors = np.asarray(rows, np.float32)
    unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
