"""A2A's answers, as its two generations spell them."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from engine.serialise import dumps
from server.bodies import Object

Part = Object
_FILES = frozenset({"image", "audio", "video", "file"})


class Dialect:
    """How version 0.3 (`modern=False`) or version 1.0 spells a thing."""

    def __init__(self, *, modern: bool) -> None:
        self.modern = modern

    def text(self, text: str) -> Part:
        return {"text": text} if self.modern else {"kind": "text", "text": text}

    def data(self, data: Any) -> Part:
        if self.modern:
            return {"data": data}
        return {"kind": "data", "data": data if isinstance(data, dict) else {"value": data}}

    def parts(self, content: Any) -> list[Part]:
        """Of a LangChain message's content: what is neither text nor a file is left out."""
        if isinstance(content, str):
            return [self.text(content)] if content else []
        return [part for block in content or () if (part := self._part(block))]

    def message(
        self,
        parts: list[Part],
        place: Mapping[str, str],
        *,
        message_id: str | None = None,
        agent: bool = True,
    ) -> Object:
        """`place`: its `taskId` and `contextId`."""
        role = "agent" if agent else "user"
        told: Object = {} if self.modern else {"kind": "message"}
        told["role"] = f"ROLE_{role.upper()}" if self.modern else role
        return told | {"parts": parts, "messageId": message_id or str(uuid4()), **place}

    def state(self, state: str) -> str:
        return f"TASK_STATE_{state.upper().replace('-', '_')}" if self.modern else state

    def status(self, state: str, timestamp: str, message: Object | None = None) -> Object:
        told: Object = {"state": self.state(state), "timestamp": timestamp}
        return told | {"message": message} if message else told

    def task(self, place: Mapping[str, str], status: Object, **more: Any) -> Object:
        told: Object = {} if self.modern else {"kind": "task"}
        return told | {
            "id": place["taskId"],
            "contextId": place["contextId"],
            "status": status,
            **more,
        }

    def sent(self, task: Object) -> Object:
        """A task as the answer to a message."""
        return {"task": task} if self.modern else task

    def status_update(self, place: Mapping[str, str], status: Object, *, final: bool) -> Object:
        if self.modern:
            return {"statusUpdate": {**place, "status": status}}
        return {"kind": "status-update", **place, "status": status, "final": final}

    def artifact_update(self, place: Mapping[str, str], artifact: Object) -> Object:
        told = {**place, "artifact": artifact, "append": False, "lastChunk": True}
        return {"artifactUpdate": told} if self.modern else {"kind": "artifact-update", **told}

    def question(self, value: Any) -> list[Part]:
        """What an interrupt asks, in words where it has some."""
        words = value.get("question") if isinstance(value, dict) else value
        text = words if isinstance(words, str) else dumps(value).decode()
        return [self.text(text)]

    def _part(self, block: Any) -> Part | None:
        if isinstance(block, str):
            return self.text(block)
        if not isinstance(block, dict):
            return None
        if block.get("type") == "text":
            return self.text(str(block.get("text", "")))
        if block.get("type") in _FILES:
            return self._file(block)
        return None

    def _file(self, block: Object) -> Part | None:
        url, inside, mime = (block.get(name) for name in ("url", "base64", "mime_type"))
        if not url and not inside:
            return None
        if self.modern:
            place = {"url": url} if url else {"raw": inside}
            return {**place, "mediaType": mime}
        return {
            "kind": "file",
            "file": {**({"uri": url} if url else {"bytes": inside}), "mimeType": mime},
        }
