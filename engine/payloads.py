"""What LangGraph streams, in the shapes of the API's stream modes."""

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage, message_chunk_to_message

Json = dict[str, Any]

_POINTER = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")


def shape(mode: str, data: Any) -> Any:
    """The payload of one event of `mode`."""
    if mode == "checkpoints":
        return _checkpoint(data)
    if mode == "debug" and data["type"] == "checkpoint":
        return {**data, "payload": _debugged(_checkpoint(data["payload"]))}
    return data


class Partials:
    """Mode `messages`: what a message is so far, again and again, by its id."""

    def __init__(self) -> None:
        self._so_far: dict[str, Any] = {}

    def add(self, data: tuple[BaseMessage, Json]) -> Iterator[tuple[str, Any]]:
        """Event names and payloads for one more piece of a message."""
        piece, metadata = data
        key = piece.id or ""
        seen = self._so_far.get(key)
        if seen is None:
            yield "messages/metadata", {key: {"metadata": metadata}}
        if not isinstance(piece, AIMessageChunk):
            self._so_far[key] = piece
            yield "messages/complete", [piece]
            return
        self._so_far[key] = seen + piece if isinstance(seen, AIMessageChunk) else piece
        yield "messages/partial", [message_chunk_to_message(self._so_far[key])]


def _checkpoint(payload: Json) -> Json:
    return {
        **payload,
        "config": _config(payload["config"]),
        "parent_config": _config(payload["parent_config"]),
    }


def _debugged(payload: Json) -> Json:
    """With the pointers that clients of the debug mode navigate by."""
    tasks = [
        {**task, "checkpoint": task["state"]["configurable"], "state": None}
        if isinstance(task.get("state"), dict)
        else task
        for task in payload["tasks"]
    ]
    parent = payload["parent_config"]
    return {
        **payload,
        "checkpoint": payload["config"]["configurable"],
        "parent_checkpoint": parent and parent["configurable"],
        "tasks": tasks,
    }


def _config(config: Json | None) -> Json | None:
    if not config:
        return None
    found = config["configurable"]
    return {"configurable": {key: found[key] for key in _POINTER if key in found}}
