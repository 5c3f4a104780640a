"""What one caller may ask of us: bodies of a size, requests at a rate."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.caller import Caller
from engine.errors import Busy, Invalid, TooLarge
from server.errors import NO_JSON, problem
from server.hosting.loopback import INSIDE

log = logging.getLogger(__name__)

_WINDOW = 60
_REDIS_SECONDS = 0.5
_REST_SECONDS = 10.0  # before Redis is asked again after it did not answer
_STREAMS_AGAIN_SECONDS = 5.0
_LONG_ENDS = ("/stream", "/stream/events", "/wait", "/join")
_LONG_BEGINNINGS = ("/a2a/", "/mcp")


class Bodies:
    """ASGI: reads the body up to a size, or answers 413. Whatever it is called, it is JSON."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            scope.setdefault("state", {})["max_bytes"] = self._max_bytes  # of a message
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(Headers(scope=scope), receive, self._max_bytes)
        except TooLarge as error:
            await problem(error)(scope, receive, send)
            return
        if _has_constants(body):
            await problem(Invalid(NO_JSON))(scope, receive, send)
            return
        if body:  # Studio sends JSON as text/plain
            MutableHeaders(scope=scope)["content-type"] = "application/json"
        await self._app(scope, replay(body, receive), send)


async def read_body(headers: Mapping[str, str], receive: Receive, max_bytes: int) -> bytes:
    """All of a request's body. Raises `TooLarge`."""
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise TooLarge
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > max_bytes:
            raise TooLarge
    return body


class _Constant(Exception):
    """NaN or an infinity."""


def _has_constants(body: bytes) -> bool:
    """Whether there are numbers that Python reads and JSON does not know."""
    if b"NaN" not in body and b"Infinity" not in body:
        return False

    def refuse(_: str) -> None:
        raise _Constant

    try:
        json.loads(body, parse_constant=refuse)
    except _Constant:
        return True
    except (ValueError, RecursionError):  # whoever reads it says so
        return False
    return False


def replay(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then whatever comes: the end of the connection."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class RateLimit:
    """ASGI: counts a key's requests in Redis, a minute at a time; answers 429 beyond the limit.

    Without Redis nobody is turned away. Open development has no key and no limit.
    """

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self._app = app
        self._per_minute = per_minute
        self._down_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = _counted(scope)

        async def count() -> None:
            if caller and time.monotonic() >= self._down_until:
                await self._count(scope["app"].state.redis, caller)

        try:
            await count()
        except Busy as error:
            await problem(error)(scope, receive, send)
            return
        if scope["type"] == "websocket":  # whose messages are requests, too
            scope.setdefault("state", {})["count"] = count
        await self._app(scope, receive, send)

    async def _count(self, redis: Redis, caller: Caller) -> None:
        window, passed = divmod(time.time(), _WINDOW)
        key = f"frontdesk:rate:{caller.quota}:{int(window)}"
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                pipe = redis.pipeline(transaction=False)
                pipe.incr(key)
                pipe.expire(key, _WINDOW)
                count, _ = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("requests are not counted, Redis is away: %s", error)
            self._down_until = time.monotonic() + _REST_SECONDS
            return
        if count > self._per_minute:
            raise Busy(
                f"This key may make {self._per_minute} requests a minute.",
                retry_after=_WINDOW - passed,
            )


class OpenStreams:
    """ASGI: counts the streams and waits that a caller holds open; answers 429 beyond the limit.

    Each process counts its own: it is its memory and its sockets that are bounded.
    """

    def __init__(self, app: ASGIApp, at_once: int) -> None:
        self._app = app
        self._at_once = at_once
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = _counted(scope)
        if caller is None or not _is_long(scope):
            await self._app(scope, receive, send)
            return
        name = caller.quota
        if self._open[name] >= self._at_once:
            said = (
                f"This credential holds {self._at_once} streams open, as many as it may: "
                "close some, or set FRONTDESK_MAX_STREAMS higher."
            )
            error = Busy(said, retry_after=_STREAMS_AGAIN_SECONDS)
            await problem(error)(scope, receive, send)
            return
        self._open[name] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]


def _counted(scope: Scope) -> Caller | None:
    """Who has limits: neither open development, nor code of graphs that calls us from inside."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    if caller is None or INSIDE in scope or (caller.identity == "local" and caller.user is None):
        return None
    return caller


def _is_long(scope: Scope) -> bool:
    """Whether its answer may take as long as a run, told before the run is there."""
    path: str = scope["path"]
    return (
        scope["type"] == "websocket"
        or path.endswith(_LONG_ENDS)
        or path.startswith(_LONG_BEGINNINGS)
    )
