"""Open a chat model by `provider:model`."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableWithFallbacks

from engine.errors import ConfigError, Unavailable
from engine.models.encoder import Encoder
from engine.models.extractive import ExtractiveChat
from engine.settings import Settings

log = logging.getLogger(__name__)


class ChatWithFallback(RunnableWithFallbacks[LanguageModelInput, AIMessage]):
    """The first model, or the next one when it is unavailable before its first chunk.

    A stream that broke later raises `Interrupted`: its consumer has to begin again.
    """

    def bind_tools(
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Each model with the tools bound in its own way."""
        return self._each(lambda model: model.bind_tools(tools, **kwargs))

    def with_structured_output(
        self, schema: Mapping[str, Any] | type, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Those of the models that write structured output."""
        return self._each(lambda model: model.with_structured_output(schema, **kwargs))

    def _each(self, change: Callable[[Any], Runnable[Any, Any]]) -> Runnable[Any, Any]:
        changed = []
        for model in self.runnables:
            try:
                changed.append(change(model))
            except ConfigError:
                log.info("%s cannot stand in here", model.get_name())
        if len(changed) < 2:
            return changed[0] if changed else change(self.runnable)
        return ChatWithFallback(
            runnable=changed[0], fallbacks=changed[1:], exceptions_to_handle=(Unavailable,)
        )


Chat: TypeAlias = BaseChatModel | ChatWithFallback
"""What answers: both have `ainvoke`, `astream`, `bind_tools` and `with_structured_output`."""


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[Any]:
    """The HTTP client of all hosted models, closed at the end; None when there are none.

    One of our own: the one that langchain-openai shares belongs to no event loop.
    """
    chats = (settings.small_model, settings.large_model, settings.fallback_model)
    if not any(name.startswith("openai:") for name in (*chats, settings.embedding_model)):
        yield None
        return
    from openai import DefaultAsyncHttpxClient  # noqa: PLC0415 - half a second

    async with DefaultAsyncHttpxClient() as client:
        yield client


def open_chat(
    model: str,
    settings: Settings,
    *,
    encoder: Encoder | None = None,
    count_tokens: Callable[[str], int] | None = None,
    http_client: Any = None,
) -> Chat:
    """The model named `provider:model`, with `settings.fallback_model` behind a hosted one.

    Nothing is sent before the first call. `encoder` and `count_tokens` serve the local model;
    `http_client` (an `httpx2.AsyncClient`) serves hosted ones and is closed by whoever opened it;
    without one a client is shared by the process.
    Raises `ConfigError` for an unknown name, or when a key is missing.
    """
    opened = _open(model, settings, encoder, count_tokens, http_client)
    second = settings.fallback_model
    if not second or second == model or isinstance(opened, ExtractiveChat):
        return opened
    return ChatWithFallback(
        runnable=opened,
        fallbacks=[_open(second, settings, encoder, count_tokens, http_client)],
        exceptions_to_handle=(Unavailable,),
    )


def _open(
    model: str,
    settings: Settings,
    encoder: Encoder | None,
    count_tokens: Callable[[str], int] | None,
    http_client: Any,
) -> BaseChatModel:
    provider, _, name = model.partition(":")
    if model == "local:extractive":
        return ExtractiveChat(encoder=encoder, count_tokens=count_tokens)
    if provider == "openai" and name:
        from engine.models.openai_chat import open_openai  # noqa: PLC0415 - half a second

        return open_openai(name, settings, http_client)
    raise ConfigError(
        f"There is no chat model {model!r}: use local:extractive, or openai:NAME "
        "with any OpenAI-compatible server (OPENAI_BASE_URL)."
    )
