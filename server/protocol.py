"""The thread protocol: commands over HTTP, events over SSE, both over one WebSocket."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from psycopg import DataError
from pydantic import ValidationError
from starlette.responses import Response

from engine.caller import Caller
from engine.errors import (
    Elsewhere,
    Forbidden,
    FrontdeskError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from engine.ids import parse_uuid
from engine.patience import AWAY
from engine.protocol.channels import CHANNELS, Filter, is_channel
from engine.protocol.commands import MODES, Commands, Door, Refusal
from engine.protocol.session import Session
from engine.protocol.stream import SILENCE_SECONDS, ThreadStreams
from engine.runtime import Engine
from engine.serialise import dumps
from server.auth.access import Access, Asks
from server.bodies import Json, Object, TheEngine
from server.errors import refused, status_of
from server.runs.asking import Asked, Headers, admitted
from server.runs.body import RunBody
from server.sse import BEAT, EventStream, frame

log = logging.getLogger(__name__)

router = APIRouter(prefix="/threads/{thread_id}", tags=["Thread protocol"])

_NO_JSON = "Invalid JSON body"
_NO_COMMAND = "Protocol commands must include an integer id and string method."
_NO_CHANNELS = "channels is required and must be a non-empty array"
_ENDED = (1011, "thread stream ended")
_REFUSED = (1008, str(Unauthorized()))
_COMMAND = {
    "type": "object",
    "required": ["id", "method"],
    "properties": {
        "id": {"type": "integer"},
        "method": {"type": "string"},
        "params": {"type": "object"},
    },
    "example": {
        "id": 1,
        "method": "run.start",
        "params": {"assistant_id": "support", "input": {"messages": []}},
    },
}
_EVENTS = {
    "type": "object",
    "required": ["channels"],
    "properties": {
        "channels": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "namespaces": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "depth": {"type": "integer"},
        "since": {"type": "integer"},
    },
    "example": {"channels": ["values", "lifecycle"]},
}


_STREAMED = {
    "stream_mode": list(MODES),
    "stream_subgraphs": True,
    "stream_resumable": True,
    "if_not_exists": "create",
}


def _body(schema: Object) -> Object:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


class Entrance:
    """What commands may do as one request's caller."""

    def __init__(self, engine: Engine, access: Access, headers: Headers) -> None:
        self._engine = engine
        self._access = access
        self._headers = headers

    async def read(self, thread_id: UUID) -> Caller:
        return await self._access("threads", "read", {"thread_id": thread_id})

    async def start(self, thread_id: UUID, asked: Object) -> UUID:
        try:
            body = RunBody.model_validate({**asked, **_STREAMED})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Refusal("invalid_argument", f"{where}: {first['msg']}") from error
        caller, request = await admitted(self._engine, self._access, thread_id, body, self._headers)
        request = replace(request, event_streaming=True)
        return (await self._engine.runs.create(caller, thread_id, request)).run_id


@router.post("/commands", openapi_extra=_body(_COMMAND))
async def command(
    thread_id: str, request: Request, access: Asks, engine: TheEngine, headers: Asked
) -> Response:
    """Always 200 for what is a command: its reply says whether it was carried out."""
    try:
        asked = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return Json({"detail": _NO_JSON}, 400)
    if not _is_command(asked):
        return Json(_misunderstood(asked), 400)
    door = Entrance(engine, access, headers)
    return Json(await _reply(engine.commands, door, thread_id, asked))


@router.post("/stream/events", openapi_extra=_body(_EVENTS))
async def events(thread_id: str, request: Request, access: Asks, engine: TheEngine) -> Response:
    """The thread's events from its first one, for ever."""
    try:
        asked = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return Json({"detail": _NO_JSON}, 400)
    if wrong := _wrong_channels(asked):
        return Json({"detail": wrong}, 400)
    known = parse_uuid(thread_id)
    if known is None:
        return EventStream(_nothing())
    try:
        caller = await access("threads", "read", {"thread_id": known})
    except Forbidden:  # is told by silence, as clients expect a stream
        return EventStream(_nothing())
    return EventStream(_frames(engine.streams, caller, known, Filter.of(asked)))


@router.websocket("/stream/events")
async def socket(websocket: WebSocket, thread_id: str) -> None:
    """Commands in, replies and events out, as text frames."""
    access = Access.of(websocket)
    await websocket.accept()
    known, farewell = parse_uuid(thread_id), _ENDED
    if known is not None:
        with contextlib.suppress(FrontdeskError, WebSocketDisconnect):
            caller = await access("threads", "read", {"thread_id": known})
            farewell = await _converse(websocket, access, caller, known)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it has gone just now
        await websocket.close(*farewell)


async def _converse(
    websocket: WebSocket, access: Access, caller: Caller, thread_id: UUID
) -> tuple[int, str]:
    """Until one side ends it, or the caller may call no more. Returns how to close it."""

    async def send(data: bytes) -> None:
        await websocket.send_text(data.decode())

    engine: Engine = websocket.app.state.engine
    door = Entrance(engine, access, Headers(websocket.headers.get("x-request-id"), None))
    session = Session(engine.streams, caller, thread_id, send)

    async def listen() -> None:
        while True:
            asked, reply = await _understood(websocket)
            if asked:
                reply = await _reply(engine.commands, door, str(thread_id), asked, session)
                reply["meta"] = {"applied_through_seq": session.seq}
            await send(dumps(reply))

    refused = asyncio.create_task(websocket.state.lasting.end())
    tasks = {asyncio.create_task(session.follow()), asyncio.create_task(listen()), refused}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    errors = [task.exception() for task in done]
    for error in errors:
        if error and not isinstance(error, WebSocketDisconnect):
            log.error("a thread's socket failed", exc_info=error)
    return _REFUSED if refused in done else _ENDED


async def _heard(websocket: WebSocket) -> str:
    """The next message. Raises `WebSocketDisconnect`, `TooLarge`."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    text: str = message.get("text") or ""
    if len(text) > websocket.state.max_bytes:
        raise TooLarge
    return text


async def _understood(websocket: WebSocket) -> tuple[Object | None, Object]:
    """The next command, or none and the reply to what is none, or may not or too often be sent."""
    try:
        asked = orjson.loads(await _heard(websocket))
    except TooLarge as error:
        return None, _error(None, "invalid_argument", str(error))
    except orjson.JSONDecodeError:
        return None, _error(None, "invalid_argument", "Protocol commands must be valid JSON.")
    if not _is_command(asked):
        return None, _misunderstood(asked)
    try:
        await websocket.state.authenticate()
        await websocket.state.count()
    except FrontdeskError as error:
        return None, _failure(asked["id"], error)
    return asked, {}


async def _reply(
    commands: Commands,
    door: Door,
    thread_id: str,
    asked: Object,
    session: Session | None = None,
) -> Object:
    """The command's result, or why there is none."""
    number, method = asked["id"], asked["method"]
    params = asked.get("params")
    params = params if isinstance(params, dict) else {}
    try:
        if (known := parse_uuid(thread_id)) is None:
            return _error(number, "unknown_error", "422: Invalid thread ID")
        if session and method in {"subscription.subscribe", "subscription.reconnect"}:
            result = await session.subscribe(method, params)
        elif session and method == "subscription.unsubscribe":
            result = session.unsubscribe(params)
        else:
            result = await commands.run(door, known, method, params)
    except Refusal as error:
        return _error(number, error.code, str(error))
    except FrontdeskError as error:
        return _failure(number, error)
    except AWAY as error:
        log.warning("a command could not be carried out: %s", error)
        return _failure(number, Unavailable())
    except DataError as error:
        return _failure(number, refused(error))
    return {
        "type": "success",
        "id": number,
        "result": result,
        "meta": {"applied_through_seq": 0},
    }


async def _frames(
    streams: ThreadStreams, caller: Caller, thread_id: UUID, wanted: Filter
) -> AsyncIterator[bytes]:
    """The events that are wanted on the wire; a beat where there are none for a while."""
    clock = asyncio.get_running_loop().time
    spoken = clock() - SILENCE_SECONDS
    async for batch in streams.follow(caller, thread_id):
        pieces = b"".join(
            frame(told.method, told.dumps(), str(told.seq)) for told in batch if wanted.wants(told)
        )
        if pieces or clock() - spoken >= SILENCE_SECONDS:
            spoken = clock()
            yield pieces or BEAT
    raise Elsewhere  # or its thread is gone: clients look again, too


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def _is_command(asked: Any) -> bool:
    return (
        isinstance(asked, dict)
        and isinstance(asked.get("id"), int)
        and isinstance(asked.get("method"), str)
    )


def _misunderstood(asked: Any) -> Object:
    number = asked.get("id") if isinstance(asked, dict) else None
    return _error(number, "invalid_argument", _NO_COMMAND)


def _failure(number: Any, error: FrontdeskError) -> Object:
    status = status_of(error)
    code = "permission_denied" if status == 403 else "unknown_error"
    return _error(number, code, f"{status}: {error}")


def _error(number: Any, code: str, message: str) -> Object:
    return {"type": "error", "id": number, "error": code, "message": message}


def _wrong_channels(asked: Any) -> str | None:
    channels = asked.get("channels") if isinstance(asked, dict) else None
    if not isinstance(channels, list) or not channels:
        return _NO_CHANNELS
    unknown = [str(name) for name in channels if not is_channel(name)]
    if not unknown:
        return None
    return (
        f"channels contains unsupported entries: {', '.join(unknown)}. "
        f"Allowed: {', '.join(CHANNELS)}, or any `custom:<name>`."
    )
