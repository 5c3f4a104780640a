"""What a run is configured with: assistant, then request, then what only the server may say."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from engine.assistants import Assistant
from engine.caller import Caller
from engine.errors import BadRequest

Json = dict[str, Any]

_BOTH = (
    "Cannot specify both configurable and context. Prefer setting context alone. Context was "
    "introduced in LangGraph 0.6.0 and is the long term planned replacement for configurable."
)
_POINTER = frozenset({"checkpoint_id", "checkpoint_ns", "checkpoint_map"})
_OURS = frozenset({"thread_id", "run_id", "graph_id", "assistant_id", "user_id"}) | _POINTER


def clean(configurable: Mapping[str, Any] | None) -> Json:
    """Without the keys by which a client could speak for the server or for LangGraph itself."""
    return {
        key: value
        for key, value in (configurable or {}).items()
        if key not in _OURS and not key.startswith(("langgraph_", "__"))
    }


def merge(
    assistant: Assistant, config: Mapping[str, Any] | None, context: Mapping[str, Any] | None
) -> tuple[Json, Json]:
    """The run's config and context, each of which mirrors the other's keys.

    Raises `BadRequest` when the request gives both a context and a configurable.
    """
    config = config or {}
    asked = clean(config.get("configurable"))
    if context and asked:
        raise BadRequest(_BOTH)
    base = clean(assistant.config.get("configurable"))
    mirrored = clean(context) or asked
    merged = {**base, **asked, **mirrored}
    outer = {
        key: value
        for source in (assistant.config, config)
        for key in ("tags", "recursion_limit")
        if (value := source.get(key)) is not None
    }
    return {**outer, "configurable": merged}, {**assistant.context, **(context or asked)}


def pointer(config: Mapping[str, Any] | None, checkpoint: Mapping[str, Any] | None) -> Json:
    """The checkpoint to go on from: given as such, or by its id in `configurable`."""
    source = checkpoint or (config or {}).get("configurable") or {}
    keys = _POINTER if checkpoint else {"checkpoint_id"}
    return {key: value for key in keys if (value := source.get(key))}


def metadata(
    assistant: Assistant, thread: Mapping[str, Any], run: Mapping[str, Any] | None
) -> Json:
    """The run's metadata; which graph and assistant it has is not the client's to say."""
    ours = {"graph_id": assistant.graph_id, "assistant_id": str(assistant.assistant_id)}
    return {**assistant.metadata, **thread, **(run or {}), **ours}


def server_keys(
    caller: Caller, assistant: Assistant, *, thread_id: UUID, run_id: UUID, request_id: str
) -> Json:
    """What every node finds in `configurable`, whatever the client sent."""
    return {
        "thread_id": str(thread_id),
        "run_id": str(run_id),
        "graph_id": assistant.graph_id,
        "assistant_id": str(assistant.assistant_id),
        "user_id": caller.identity,
        "langgraph_auth_user": caller.as_user(),
        "langgraph_auth_user_id": caller.identity,
        "langgraph_auth_permissions": caller.as_user()["permissions"],
        "langgraph_request_id": request_id,
    }
