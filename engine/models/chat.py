"""Open a chat model by `provider:model`."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableWithFallbacks
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from engine.errors import ConfigError, Unavailable
from engine.models.encoder import Encoder
from engine.models.extractive import ExtractiveChat
from engine.settings import Settings

OPENAI = "https://api.openai.com/v1"

log = logging.getLogger(__name__)


class Interrupted(Unavailable):
    """The model's answer broke off after it had begun: what was streamed of it is void."""


class HostedChat(ChatOpenAI):
    """`ChatOpenAI` with our errors, and with a stream that cannot end early unnoticed.

    Raises `Unavailable` when no answer came after all retries, `Interrupted` when one broke off.
    Chunks without content wait for the first that has some, so that whoever got a chunk can rely
    on this model having begun to answer. A request the server calls malformed raises as it is.
    """

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with _translated(self.model_name):
            return await super()._agenerate(messages, stop, run_manager, **kwargs)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        held: list[ChatGenerationChunk] = []
        begun = finished = False
        try:
            with _translated(self.model_name):
                async for chunk in super()._astream(*args, **kwargs):
                    begun = begun or _says_something(chunk)
                    finished = finished or _finishes(chunk)
                    held.append(chunk)
                    while begun and held:
                        yield held.pop(0)
                if not finished:
                    raise Unavailable(f"{self.model_name} stopped in the middle of its answer.")
        except Unavailable as error:
            if begun:
                raise Interrupted(str(error)) from error
            raise
        for chunk in held:
            yield chunk


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
        return _hosted(name, settings, http_client)
    raise ConfigError(
        f"There is no chat model {model!r}: use local:extractive, or openai:NAME "
        "with any OpenAI-compatible server (OPENAI_BASE_URL)."
    )


def _hosted(name: str, settings: Settings, http_client: Any) -> HostedChat:
    base_url = settings.openai_base_url or OPENAI
    official = base_url.rstrip("/") == OPENAI
    key = settings.openai_api_key.get_secret_value()
    if official and not key:
        raise ConfigError(
            f"openai:{name} needs OPENAI_API_KEY (or OPENAI_BASE_URL of a server without keys)."
        )
    return HostedChat(
        model=name,
        base_url=base_url,
        api_key=SecretStr(key or "none"),
        timeout=settings.model_timeout,
        stream_chunk_timeout=settings.model_timeout,
        max_retries=settings.model_retries,
        stream_usage=True,
        # Compatible servers speak chat completions; only OpenAI's own models may need the other.
        use_responses_api=None if official else False,
        http_async_client=http_client,
    )


@contextmanager
def _translated(model: str) -> Iterator[None]:
    """Our error for whatever the provider or the network did wrong; bad requests are ours."""
    try:
        yield
    except (openai.BadRequestError, openai.UnprocessableEntityError):
        raise
    except (openai.APIError, TimeoutError) as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        log.warning("%s failed: %s", model, reason)
        raise Unavailable(f"{model} is not available ({type(error).__name__}).") from error


def _says_something(chunk: ChatGenerationChunk) -> bool:
    message = chunk.message
    calls = isinstance(message, AIMessageChunk) and bool(message.tool_call_chunks)
    return bool(message.content) or calls


def _finishes(chunk: ChatGenerationChunk) -> bool:
    known = {**(chunk.generation_info or {}), **chunk.message.response_metadata}
    return "finish_reason" in known or known.get("status") in {"completed", "incomplete"}
