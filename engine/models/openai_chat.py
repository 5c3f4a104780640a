"""Chat models of any server that speaks OpenAI's protocol."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from engine.errors import ConfigError, Interrupted, Unavailable
from engine.settings import Settings

OPENAI = "https://api.openai.com/v1"

log = logging.getLogger(__name__)


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


def open_openai(name: str, settings: Settings, http_client: Any = None) -> HostedChat:
    """Nothing is sent before the first call. Raises `ConfigError` when a key is missing."""
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
