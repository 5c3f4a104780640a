"""/mcp: every assistant is a tool, over the Model Context Protocol's streamable HTTP.

Stateless: there are no sessions and no streams. Whoever goes away during a call leaves its run at
work.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from engine.assistants import Assistant
from engine.errors import FrontdeskError
from engine.runtime import Engine
from engine.serialise import dumps, loads
from server.agents import ask, assistants
from server.auth.access import Access, Asks
from server.bodies import Json, Object, TheEngine
from server.jsonrpc import (
    ASKED_WRONGLY,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Message,
    RpcError,
    failure,
    parse,
    result,
)
from server.sse import SlowJson

router = APIRouter(prefix="/mcp", tags=["MCP"])

_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
_NO_ACCEPT = "Accept header must include application/json or text/event-stream"
_ENVELOPE = {
    PARSE_ERROR: "Invalid JSON",
    INVALID_REQUEST: "Invalid JSON-RPC message. Missing or invalid jsonrpc version.",
}
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_HINTS = {
    "readOnlyHint": False,
    "destructiveHint": False,
    "idempotentHint": False,
    "openWorldHint": True,
}
_SAID = {
    "type": "string",
    "title": "Messages",
    "description": "The user message to send to the agent.",
}


@dataclass(frozen=True)
class Call:
    """One request and what it takes to answer it."""

    engine: Engine
    access: Access
    message: Message

    @property
    def params(self) -> Object:
        return self.message.params


Answer = Callable[[Call], Awaitable[Any]]


@router.post("")
async def receive(request: Request, access: Asks, engine: TheEngine) -> Response:
    """One JSON-RPC message; what is not a request is accepted without an answer."""
    accepted = request.headers.get("accept", "")
    if "application/json" not in accepted and "text/event-stream" not in accepted:
        return Json({"error": _NO_ACCEPT}, 400)
    try:
        message = parse(await request.body())
    except RpcError as error:
        return Json({"error": _ENVELOPE.get(error.code, str(error))}, 400)
    if message.id is None or message.method is None:
        return Response(status_code=202)
    try:
        return await _answer(Call(engine, access, message))
    except (RpcError, *ASKED_WRONGLY) as error:
        return Json(failure(message.id, error))


@router.get("", status_code=405)
async def listen() -> Response:
    """There is no stream of messages from the server."""
    return Response(status_code=405, headers={"Allow": "POST"})


@router.delete("", status_code=404)
async def end() -> Response:
    """There is no session to end."""
    return Response(status_code=404)


async def _answer(call: Call) -> Response:
    if call.message.method == "tools/call":
        return await _call(call)
    answer = _METHODS.get(call.message.method or "")
    if answer is None:
        raise RpcError(METHOD_NOT_FOUND, f"Method not found: {call.message.method}")
    return Json(result(call.message.id, await answer(call)))


async def _initialize(call: Call) -> Object:
    asked = call.params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in _VERSIONS else _VERSIONS[-1],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "Frontdesk", "version": version("frontdesk")},
    }


async def _ping(call: Call) -> Object:
    return {}


async def _list(call: Call) -> Object:
    found = named(await assistants(call.engine, call.access))
    schemas = {
        graph_id: await call.engine.graphs.input_schema(graph_id)
        for graph_id in {assistant.graph_id for assistant in found.values()}
    }
    tools = [
        {
            "name": name,
            "title": assistant.name,
            "description": assistant.description or f"Tool based on the {assistant.name} assistant",
            "inputSchema": asked_with(schemas[assistant.graph_id]),
            "annotations": _HINTS,
        }
        for name, assistant in found.items()
    ]
    return {"tools": tools}


async def _call(call: Call) -> Response:
    name, arguments = call.params.get("name"), call.params.get("arguments")
    assistant = named(await assistants(call.engine, call.access)).get(str(name))
    if assistant is None:
        raise RpcError(INVALID_PARAMS, f"Unknown tool: {name}")
    meta = call.params.get("_meta")
    context = meta.get("context") if isinstance(meta, dict) else None
    caller, run = await ask(
        call.engine,
        call.access,
        assistant.assistant_id,
        input=_input(arguments),
        context=context if isinstance(context, dict) else None,
    )
    events = call.engine.watch.from_start(caller, run)
    return SlowJson(_told(call, call.engine.watch.output(caller, events, run)))


async def _told(call: Call, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Blank lines while the run is at work, then the answer."""
    try:
        async for piece in pieces:
            if piece == b"\n":
                yield piece
            else:
                yield dumps(result(call.message.id, content(piece)))
    except FrontdeskError as error:
        yield dumps(failure(call.message.id, RpcError(INTERNAL_ERROR, str(error))))


def content(output: bytes) -> Object:
    """What a run left, JSON, as a tool's result."""
    values = loads(output)
    if isinstance(values, dict) and (error := values.get("__error__")):
        text = f"{error['error']}: {error['message']}"
        return {"isError": True, "content": [{"type": "text", "text": text}]}
    told: Object = {"content": [{"type": "text", "text": output.decode()}], "isError": False}
    return told | {"structuredContent": values} if isinstance(values, dict) else told


def named(found: list[Assistant]) -> Mapping[str, Assistant]:
    """Assistants by the name of their tool: of two with one name the younger one's has its id."""
    tools: dict[str, Assistant] = {}
    for assistant in found:
        name = _NAME.sub("_", assistant.name)[:64] or "_"
        tools[f"{name}-{assistant.assistant_id}" if name in tools else name] = assistant
    return tools


def asked_with(schema: Object) -> Object:
    """A graph's input schema as a tool's: messages are what the user says."""
    known: Object = {"type": "object", **schema}
    properties = known.get("properties") or {}
    if "messages" not in properties:
        return known
    required = [name for name in known.get("required") or [] if name != "messages"]
    told = {**known, "properties": {**properties, "messages": _SAID}}
    told["required"] = ["messages", *required]
    if b'"$ref"' not in dumps(told["properties"]):
        told.pop("$defs", None)
    return told


def _input(arguments: Any) -> Object:
    """Raises `RpcError` unless the arguments are an object."""
    if not isinstance(arguments, dict | None):
        raise RpcError(INVALID_PARAMS, "Invalid params: arguments must be an object")
    given = arguments or {}
    if isinstance(said := given.get("messages"), str):
        return {**given, "messages": [{"role": "user", "content": said}]}
    return given


_METHODS: Mapping[str, Answer] = {
    "initialize": _initialize,
    "ping": _ping,
    "tools/list": _list,
}
