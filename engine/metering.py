"""What models and tools take, counted for the metrics: seconds, tokens, money."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from engine.calls import model_name
from engine.metrics import Metrics

Prices = Mapping[str, tuple[float, float]]
"""Money for a million tokens read, and for a million written, by model."""


class Metering(BaseCallbackHandler):
    """For a run's config. Calls through LangChain are heard of; one a run."""

    run_inline = True
    ignore_chain = True
    ignore_retriever = True

    def __init__(self, metrics: Metrics, prices: Prices, tenant: str) -> None:
        self._metrics = metrics
        self._prices = prices
        self._tenant = tenant
        self._open: dict[UUID, tuple[str, float]] = {}

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
        self._open[run_id] = model, perf_counter()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        model = self._close(run_id, self._metrics.model_seconds, "ok")
        used = _usage(response)
        if model is None or used is None:
            return
        read, written = used
        tokens = self._metrics.model_tokens
        tokens.labels(model, self._tenant, "input").inc(read)
        tokens.labels(model, self._tenant, "output").inc(written)
        if price := self._prices.get(model):
            cost = (read * price[0] + written * price[1]) / 1_000_000
            self._metrics.model_cost.labels(model, self._tenant).inc(cost)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._close(run_id, self._metrics.model_seconds, "error")

    def on_tool_start(
        self, serialized: dict[str, Any], input_str: str, *, run_id: UUID, **kwargs: Any
    ) -> None:
        self._open[run_id] = str(serialized.get("name") or ""), perf_counter()

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._close(run_id, self._metrics.tool_seconds, "ok")

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._close(run_id, self._metrics.tool_seconds, "error")

    def _close(self, run_id: UUID, histogram: Any, outcome: str) -> str | None:
        """The name of what has ended."""
        opened = self._open.pop(run_id, None)
        if opened is None:
            return None
        name, began = opened
        histogram.labels(name, outcome).observe(perf_counter() - began)
        return name


def _usage(response: LLMResult) -> tuple[int, int] | None:
    """Tokens read and written, if the provider has counted them."""
    said = next((each[0] for each in response.generations if each), None)
    message = said.message if isinstance(said, ChatGeneration) else None
    used = getattr(message, "usage_metadata", None)
    return (used["input_tokens"], used["output_tokens"]) if used else None
