"""Messages as the protocol knows them: content blocks, streamed piece by piece or in a snapshot."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from engine.serialise import loads

Json = dict[str, Any]

_MODEL = frozenset({"ai", "AIMessageChunk"})
_MESSAGES = _MODEL | {"human", "system", "tool", "function", "chat"}
_FIRST = ("type", "content", "id")
_GROWING = {"text": "text", "reasoning": "reasoning"}  # what grows in a block of that type
_CALLS = {"tool_call_chunk": "tool_call", "server_tool_call_chunk": "server_tool_call"}
_HEAVY = frozenset({"args", "data", "output", "transcript", "value", "base64"})
_USAGE = ("input_tokens", "output_tokens", "total_tokens")
_DETAILS = ("input_token_details", "output_token_details")


def is_model_message(data: Any) -> bool:
    """Whether this JSON is what a model said, whole or in part."""
    return isinstance(data, Mapping) and data.get("type") in _MODEL


@dataclass
class _Block:
    index: int
    content: Json


@dataclass
class Assembly:
    """One message of a model while it comes: turns its pieces into events."""

    blocks: dict[Any, _Block] = field(default_factory=dict)
    usage: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    begun: bool = False

    def add(self, piece: Json) -> Iterator[Json]:
        """The events of one more piece, which is a message's JSON."""
        if not self.begun:
            self.begun = True
            yield {"event": "message-start", "role": "ai", "id": piece.get("id") or ""}
        for key, block in _pieces(piece):
            yield from self._grow(key, block)
        self.metadata |= piece.get("response_metadata") or {}
        self._count(piece.get("usage_metadata") or {})

    def finish(self) -> Iterator[Json]:
        """The events that end the message."""
        for block in self.blocks.values():
            content = _finished(block.content)
            yield {"event": "content-block-finish", "index": block.index, "content": content}
        last: Json = {"event": "message-finish"}
        if self.usage:
            last["usage"] = self.usage
        if self.metadata:
            last["metadata"] = self.metadata
        yield last

    def _grow(self, key: Any, piece: Json) -> Iterator[Json]:
        if (block := self.blocks.get(key)) is None:
            block = self.blocks[key] = _Block(len(self.blocks), dict(piece))
            yield {
                "event": "content-block-start",
                "index": block.index,
                "content": _empty(piece),
            }
        else:
            _merge(block.content, piece)
        if delta := _delta(piece):
            yield {"event": "content-block-delta", "index": block.index, "delta": delta}

    def _count(self, usage: Json) -> None:
        for name in _USAGE:
            if name in usage:
                self.usage[name] = self.usage.get(name, 0) + usage[name]
        for name in _DETAILS:
            if usage.get(name):
                self.usage[name] = {**self.usage.get(name, {}), **usage[name]}


def is_last(piece: Json) -> bool:
    """Whether nothing of this message comes after `piece`."""
    return piece["type"] == "ai" or piece.get("chunk_position") == "last"


def slim(data: Any) -> Any:
    """A message's JSON with what it says and nothing empty; anything else as it is."""
    if not (isinstance(data, dict) and data.get("type") in _MESSAGES and "content" in data):
        return data
    told = {name: value for name, value in data.items() if value not in (None, {}, [], False)}
    told |= {"type": data["type"], "content": data["content"]}
    if data["type"] in _MODEL:
        told["type"] = "ai"
        told["content"] = _snapshot(data)
        told["response_metadata"] = {**(data.get("response_metadata") or {}), **_VERSION}
        for name in ("tool_call_chunks", "chunk_position"):
            told.pop(name, None)
    rest = {name: value for name, value in told.items() if name not in _FIRST}
    return {name: told[name] for name in _FIRST if name in told} | rest


_VERSION = {"output_version": "v1"}


def snapshot(data: bytes) -> Any:
    """A thread's values, as the protocol tells them, from their JSON."""
    values = loads(data)
    if isinstance(values, dict):
        return {name: _slim_all(one) for name, one in values.items() if name != "__interrupt__"}
    return _slim_all(values)


def _slim_all(value: Any) -> Any:
    return [slim(one) for one in value] if isinstance(value, list) else slim(value)


def _snapshot(message: Json) -> list[Json]:
    """The content of a model's message, always as blocks."""
    blocks = []
    for index, (_, block) in enumerate(_pieces({**message, "type": "ai"})):
        if block["type"] in _GROWING:
            block.setdefault("index", index)
        blocks.append(block)
    return blocks


def _pieces(message: Json) -> list[tuple[Any, Json]]:
    """The blocks that a message or a piece of one holds, each with what tells it from others."""
    content = message.get("content")
    if isinstance(content, str) and not message.get("additional_kwargs"):
        blocks: list[Json] = [{"type": "text", "text": content}] if content else []
        blocks += _calls(message)
    else:
        blocks = _standard(message)
    if message["type"] == "ai":
        blocks += [
            {"type": "invalid_tool_call"} | {k: v for k, v in one.items() if v is not None}
            for one in message.get("invalid_tool_calls") or ()
        ]
    return [(_key(number, block), block) for number, block in enumerate(blocks)]


def _calls(message: Json) -> list[Json]:
    kind, name = "tool_call_chunk", "tool_call_chunks"
    if message["type"] == "ai":
        kind, name = "tool_call", "tool_calls"
    return [
        {"type": kind, **{k: v for k, v in one.items() if k != "type" and v is not None}}
        for one in message.get(name) or ()
    ]


def _standard(message: Json) -> list[Json]:
    """What providers say in their own ways, in LangChain's standard blocks."""
    if message["type"] == "ai":
        return [dict(block) for block in AIMessage.model_validate(message).content_blocks]
    piece = AIMessageChunk.model_validate({**message, "chunk_position": None})
    return [dict(block) for block in piece.content_blocks]


def _key(number: int, block: Json) -> Any:
    """Pieces of one block share its index, or else its type and place."""
    index = block.get("index")
    return (block["type"], number) if index is None else index


def _empty(block: Json) -> Json:
    """A block before anything of it has come; what does not grow comes when it is finished."""
    kind = block["type"]
    if name := _GROWING.get(kind):
        rest = {k: v for k, v in block.items() if k not in {name, "index", "annotations"}}
        return {**rest, name: ""}
    if kind in _CALLS:
        rest = {k: block[k] for k in ("index",) if k in block}
        return {"type": kind, "id": block.get("id"), "name": block.get("name"), "args": "", **rest}
    rest = {k: v for k, v in block.items() if k not in _HEAVY}
    return {**rest, "args": {}} if kind in _CALLS.values() else rest


def _delta(block: Json) -> Json | None:
    kind = block["type"]
    if kind in _CALLS:
        return {"type": "tool-call-delta", "args": block["args"]} if block.get("args") else None
    name = _GROWING.get(kind, "data")
    return {"type": f"{name}-delta", name: block[name]} if block.get(name) else None


def _merge(block: Json, piece: Json) -> None:
    """Add a piece to its block: text grows, anything else is as it was said last."""
    growing = _GROWING.get(piece["type"], "args" if piece["type"] in _CALLS else "data")
    for name, value in piece.items():
        if value is None:
            continue
        if name == growing:
            block[name] = (block.get(name) or "") + value
        elif name == "extras":
            block[name] = {**block.get(name, {}), **value}
        else:
            block[name] = value


def _finished(block: Json) -> Json:
    """The block with its call's arguments read; `invalid_tool_call` where they are no JSON."""
    if not (kind := _CALLS.get(block["type"])):
        return block
    rest = {k: v for k, v in block.items() if k not in {"type", "id", "name", "args", "index"}}
    known = {"id": block.get("id") or "", "name": block.get("name") or ""}
    try:
        args = json.loads(block.get("args") or "{}")
    except ValueError:
        error = "Failed to parse tool call arguments as JSON"
        return {"type": "invalid_tool_call", **known, "args": block["args"], "error": error, **rest}
    return {"type": kind, **known, "args": args, **rest}
