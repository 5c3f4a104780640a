"""What a run is configured with: assistant, then request, then what only the server may say."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from engine.assistants import BOTH, Assistant
from engine.caller import Caller
from engine.errors import BadRequest

Json = dict[str, Any]

_POINTER = frozenset({"checkpoint_id", "checkpoint_ns", "checkpoint_map"})
EVENT_STREAMING = "__event_streaming_v2"
"""Marks a run that was started by a command of the thread protocol."""

_OURS = frozenset({"thread_id", "run_id", "graph_id", "assistant_id"}) | _POINTER


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
        raise BadRequest(BOTH)
    base = clean(assistant.config.get("configurable"))
    mirrored = clean(context) or asked
    merged = {**base, **asked, **mirrored}
    outer = {
        key: value
        for source in (assistant.config, config)
        for key in ("tags", "recursion_limit", "metadata")
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


def reading(caller: Caller, assistant: Assistant | None = None) -> Json:
    """With what a graph that is built for each use is built when it is only described."""
    config = assistant.config if assistant else {}
    ours = {"langgraph_auth_user": caller.as_user()}
    return {**config, "configurable": {**clean(config.get("configurable")), **ours}}


def _names_users(caller: Caller) -> bool:
    """Whether it may say for which `user_id` a graph works, as on the official server."""
    return caller.trusted or caller.user is not None


def as_caller(caller: Caller, context: Json) -> Json:
    """The context, without a `user_id` that is not for this caller to choose."""
    if "user_id" not in context or _names_users(caller):
        return context
    return {**context, "user_id": caller.identity}


def server_keys(
    caller: Caller, assistant: Assistant, *, thread_id: UUID, run_id: UUID, request_id: str
) -> Json:
    """What every node finds in `configurable`, whatever the client sent."""
    return {
        **({} if _names_users(caller) else {"user_id": caller.identity}),
        "thread_id": str(thread_id),
        "run_id": str(run_id),
        "graph_id": assistant.graph_id,
        "assistant_id": str(assistant.assistant_id),
        "langgraph_auth_user": caller.as_user(),
        "langgraph_auth_user_id": caller.identity,
        "langgraph_auth_permissions": caller.as_user()["permissions"],
        "langgraph_request_id": request_id,
    }
