"""What a server answered, without what differs from one time to the next."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.sse import Event

_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])",
    re.IGNORECASE,
)
_HEADERS = (
    "content-type",
    "location",
    "content-location",
    "x-pagination-total",
    "x-pagination-next",
)
_TOLD = {"status", "type", "event", "method", "source", "strategy", "multitask_strategy", "role"}
"""Keys whose value is part of the contract."""
_WORDS = {"detail", "message", "gate", "url", "description", "version", "name"}
"""Keys whose value is text in any words."""
_OPAQUE = {"kwargs", "payload", "additional_kwargs", "response_metadata", "usage_metadata"}
"""Keys whose value is the server's or a library's own affair."""
_OWN = re.compile(
    r"langgraph_(version|api_version|plan|host|api_url|auth_\w+|request_id)|user_id|run_attempt"
    r"|__\w+__|ls_\w+|lc_\w+|versions|revision_id"
)
"""Keys that a server adds for itself to metadata and `configurable`."""

_CHECKPOINT = {"source", "step", "parents", "run_id", "assistant_id"}
"""Keys of a checkpoint's metadata that clients read; savers keep more, each its own."""


def plain(text: str) -> str:
    """The text with its ids replaced."""
    return _ID.sub("<id>", text)


def shape(value: Any) -> Any:
    """Keys, and types of values; lists tell what differs among their items."""
    if isinstance(value, dict):
        if {"source", "step", "parents"} <= set(value):
            value = {name: one for name, one in value.items() if name in _CHECKPOINT}
        return {plain(str(name)): _under(str(name), one) for name, one in _sorted(value)}
    if isinstance(value, list):
        found: list[Any] = []
        for one in value:
            if (described := shape(one)) not in found:
                found.append(described)
        return found
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return {None: "null"}.get(value, "bool")
    return "number"


def _sorted(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    return sorted((name, one) for name, one in value.items() if not _OWN.fullmatch(str(name)))


def _under(name: str, value: Any) -> Any:
    if name in _TOLD and isinstance(value, str):
        return plain(value)
    if name in _WORDS and isinstance(value, str):
        return "str"
    if name in _OPAQUE and isinstance(value, dict):
        return "object"
    return shape(value)


def _text(value: str) -> str:
    if _ID.search(value) and len(value) < 200:
        return plain(value)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return "str"
    return "time" if len(value) > 10 else "str"


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    def must(self, status: int) -> Any:
        """The body if the status is this one, else `AssertionError`."""
        assert self.status == status, f"{status} wanted: {self.status} {self.text[:200]}"
        json_type = self.headers.get("content-type", "").startswith("application/json")
        return self.body if json_type and self.text.strip() else self.text

    @property
    def detail(self) -> str:
        return str(self.body["detail"])

    def told(self) -> dict[str, Any]:
        """What of it is compared."""
        headers = {name: plain(self.headers[name]) for name in _HEADERS if name in self.headers}
        kind = headers.get("content-type", "text/plain").partition(";")[0]
        headers["content-type"] = kind
        if kind == "application/json" and self.text.strip():
            return {"status": self.status, "headers": headers, "body": shape(self.body)}
        return {"status": self.status, "headers": headers, "empty": not self.text.strip()}


@dataclass
class Frame:
    """One server-sent event, or a comment when `event` is empty."""

    event: str
    data: Any
    id: str | None

    def told(self) -> list[Any]:
        return [plain(self.event), shape(self.data), self.id is not None]


def frame(event: Event) -> Frame:
    data = json.loads(event["data"]) if event.get("data") else None
    return Frame(event.get("event", ""), data, event.get("id") or None)
