"""Messages as A2A clients send them, in either generation's spelling."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from server.bodies import Object
from server.jsonrpc import INVALID_PARAMS, RpcError

_MEDIA = frozenset({"image", "audio", "video"})


@dataclass(frozen=True)
class Incoming:
    """One message: `content` is a LangChain message's, `data` what came beside it."""

    message_id: str
    context_id: str | None
    task_id: str | None
    content: str | list[Object]
    data: list[Any]

    def turn(self) -> Object:
        """The input that it is: its data are the other fields."""
        fields: Object = {}
        for data in self.data:
            if isinstance(data, dict):
                fields |= data
        if not self.content:
            return fields
        before = fields.get("messages")
        turn = {"role": "user", "content": self.content, "id": self.message_id}
        return fields | {"messages": [*(before if isinstance(before, list) else []), turn]}

    def reply(self) -> Any:
        """The answer that it gives to a question: its data, or what it says."""
        if not self.data:
            return self.content
        return self.data[0] if len(self.data) == 1 else self.data


def read(params: Object) -> Incoming:
    """The message in the parameters of a method. Raises `RpcError` for what is missing in it."""
    message = params.get("message")
    if not isinstance(message, dict):
        raise RpcError(INVALID_PARAMS, "Missing or invalid 'message' in params")
    for name in ("role", "messageId"):
        if not isinstance(message.get(name), str) or not message[name]:
            raise RpcError(INVALID_PARAMS, f"Missing required '{name}' in message")
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts:
        raise RpcError(INVALID_PARAMS, "Message must contain at least one part")
    content, data = _said(parts)
    if not content and not data:
        raise RpcError(INVALID_PARAMS, "Message must contain text, data or a file")
    return Incoming(
        message["messageId"],
        str(message.get("contextId") or "") or None,
        str(message.get("taskId") or "") or None,
        content,
        data,
    )


def _said(parts: Iterable[Any]) -> tuple[str | list[Object], list[Any]]:
    blocks: list[Object] = []
    data: list[Any] = []
    for part in parts:
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("text"), str):
            blocks.append({"type": "text", "text": part["text"]})
        elif "data" in part:
            data.append(part["data"])
        elif block := _file_block(part):
            blocks.append(block)
    if all(block["type"] == "text" for block in blocks):
        return "\n".join(block["text"] for block in blocks), data
    return blocks, data


def _file_block(part: Object) -> Object | None:
    inner = part.get("file")
    file: Object = inner if isinstance(inner, dict) else part
    mime = str(file.get("mimeType") or file.get("mediaType") or "application/octet-stream")
    kind = mime.partition("/")[0]
    block: Object = {"type": kind if kind in _MEDIA else "file", "mime_type": mime}
    if url := file.get("uri") or file.get("url"):
        return block | {"url": url}
    if inside := file.get("bytes") or file.get("raw"):
        return block | {"base64": inside}
    return None
