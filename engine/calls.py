"""Spans of the models and tools that nodes call through LangChain, without what was said.

Named as OpenTelemetry's conventions for generative AI name them.
"""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context

from engine.telemetry import Attributes, fail, tracer

Json = dict[str, Any]


def tool_facts(name: str, call_id: str | None) -> Attributes:
    """What the span of a tool says."""
    facts = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    return {**facts, "gen_ai.tool.call.id": call_id} if call_id else facts


def model_name(metadata: Json | None, asked: Json | None) -> str:
    """What LangChain, else the provider's own parameters, call a model."""
    known, asked = metadata or {}, asked or {}
    return str(known.get("ls_model_name") or asked.get("model") or asked.get("_type") or "")


def callbacks() -> list[BaseCallbackHandler]:
    """For a run's config: what makes spans of its calls, if they are traced."""
    using = tracer.get()
    return [_Calls(using)] if using else []


class _Calls(BaseCallbackHandler):
    """One a run. Its methods are called where the call is made, so that spans nest rightly."""

    run_inline = True

    def __init__(self, using: Tracer) -> None:
        self._tracer = using
        self._open: dict[UUID, Span] = {}
        self._tokens: dict[UUID, Any] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        model = model_name(metadata, kwargs.get("invocation_params"))
        facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": str((metadata or {}).get("ls_provider") or ""),
            "gen_ai.request.model": model,
        }
        # Not the current span: the model may be a generator, whose consumer goes on meanwhile.
        self._open[run_id] = self._start(f"chat {model}", SpanKind.CLIENT, facts)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        if ended := self._open.pop(run_id, None):
            ended.set_attributes(_usage(response))
            ended.end()

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._fail(run_id, error)

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        tool_call_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        name = str(serialized.get("name") or "")
        facts = tool_facts(name, tool_call_id)
        opened = self._start(f"execute_tool {name}", SpanKind.INTERNAL, facts)
        self._open[run_id] = opened
        self._tokens[run_id] = attach(set_span_in_context(opened))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)
        if ended := self._open.pop(run_id, None):
            ended.end()

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._leave(run_id)
        self._fail(run_id, error)

    def _start(self, name: str, kind: SpanKind, facts: Attributes) -> Span:
        return self._tracer.start_span(name, kind=kind, attributes=dict(facts))

    def _leave(self, run_id: UUID) -> None:
        if (token := self._tokens.pop(run_id, None)) is not None:
            detach(token)

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        if failed := self._open.pop(run_id, None):
            fail(error, failed)
            failed.end()


def _usage(response: LLMResult) -> dict[str, str | int]:
    """The tokens that the provider counted, and the model that it says has answered."""
    said = response.generations[0][0] if response.generations and response.generations[0] else None
    if not isinstance(said, ChatGeneration):
        return {}
    facts: dict[str, str | int] = {}
    if used := getattr(said.message, "usage_metadata", None):
        facts["gen_ai.usage.input_tokens"] = used["input_tokens"]
        facts["gen_ai.usage.output_tokens"] = used["output_tokens"]
    if model := said.message.response_metadata.get("model_name"):
        facts["gen_ai.response.model"] = str(model)
    return facts
