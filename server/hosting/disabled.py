"""Takes away the parts of the API that a project does not want."""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import NotFound
from engine.project.manifest import HttpPart
from server.errors import problem

_FIRST = {
    "assistants": "assistants",
    "store": "store",
    "mcp": "mcp",
    "a2a": "a2a",
    ".well-known": "a2a",
    "info": "meta",
    "metrics": "meta",
    "docs": "meta",
    "openapi.json": "meta",
}


def part_of(path: str) -> str:
    """The part of the API that a path belongs to; empty for none that can be taken away."""
    first, *rest = path.strip("/").split("/")
    if first == "threads":
        first, rest = (rest[1], rest[2:]) if rest[1:2] == ["runs"] else ("threads", [])
    if first == "runs":
        return "crons" if rest[:1] == ["crons"] else "runs"
    return "threads" if first == "threads" else _FIRST.get(first, "")


def disabled(http: HttpPart) -> frozenset[str]:
    """The parts that a project takes away; crons go with runs."""
    parts = {*_FIRST.values(), "threads", "runs", "crons"}
    gone = {part for part in parts if getattr(http, f"disable_{part}")}
    return frozenset(gone | ({"crons"} if "runs" in gone else set()))


class Disabled:
    """ASGI: answers 404 there."""

    def __init__(self, app: ASGIApp, parts: frozenset[str]) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and part_of(scope["path"]) in self._parts:
            await problem(NotFound())(scope, receive, send)
            return
        if scope["type"] == "websocket" and part_of(scope["path"]) in self._parts:
            await send({"type": "websocket.close", "code": 1008, "reason": "Not Found"})
            return
        await self._app(scope, receive, send)


def without(document: dict[str, Any], parts: frozenset[str]) -> dict[str, Any]:
    """An OpenAPI document without these parts."""
    paths = {path: one for path, one in document["paths"].items() if part_of(path) not in parts}
    return {**document, "paths": paths}
