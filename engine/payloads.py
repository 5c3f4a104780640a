"""What LangGraph streams, in the shapes of the API's stream modes."""

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage, message_chunk_to_message

Json = dict[str, Any]

_STATE = frozenset({"values", "tasks"})
_POINTER = ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")
_HIDDEN = ("__", "langgraph_auth_", "user_id")


def shape(mode: str, data: Any, *, brief: bool = False) -> Any:
    """The payload of one event of `mode`; a `brief` checkpoint is told without its state."""
    if mode == "checkpoints":
        told = _checkpoint(data)
        return {k: v for k, v in told.items() if k not in _STATE} if brief else told
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
    tasks = [_led(task) for task in payload["tasks"]]
    return {
        **payload,
        "checkpoint": _pointer(payload["config"]),
        "parent_checkpoint": _pointer(payload["parent_config"]),
        "tasks": tasks,
    }


def _led(task: Json) -> Json:
    """A task that is a subgraph leads to the subgraph's checkpoints."""
    if not isinstance(task.get("state"), dict):
        return task
    own = {key: value for key, value in task.items() if key != "state"}
    return {**own, "checkpoint": task["state"]["configurable"]}


def _config(config: Json | None) -> Json | None:
    """With what configures the run, but not who asked, nor what LangGraph keeps there itself."""
    if not config:
        return None
    found = config["configurable"].items()
    return {"configurable": {key: value for key, value in found if not key.startswith(_HIDDEN)}}


def _pointer(config: Json | None) -> Json | None:
    if not config:
        return None
    found = config["configurable"]
    return {key: found[key] for key in _POINTER if key in found}
