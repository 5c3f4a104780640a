"""What one caller may ask of us: bodies of a size, requests at a rate."""

import asyncio
import logging
import time

from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.caller import Caller
from engine.errors import Busy, TooLarge
from server.auth import LOCAL
from server.errors import problem

log = logging.getLogger(__name__)

_WINDOW = 60
_REDIS_SECONDS = 0.5
_REST_SECONDS = 10.0  # before Redis is asked again after it did not answer


class Bodies:
    """ASGI: reads the body up to a size, or answers 413. Whatever it is called, it is JSON."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(Headers(scope=scope), receive)
        except TooLarge as error:
            await problem(error)(scope, receive, send)
            return
        if body:  # Studio sends JSON as text/plain
            MutableHeaders(scope=scope)["content-type"] = "application/json"
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise TooLarge
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_bytes:
                raise TooLarge
        return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then whatever comes: the end of the connection."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


class RateLimit:
    """ASGI: counts a key's requests in Redis, a minute at a time; answers 429 beyond the limit.

    Without Redis nobody is turned away. Open development has no key and no limit.
    """

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self._app = app
        self._per_minute = per_minute
        self._down_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get("state", {}).get("caller")
        if caller and caller is not LOCAL and time.monotonic() >= self._down_until:
            try:
                await self._count(scope["app"].state.redis, caller)
            except Busy as error:
                await problem(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _count(self, redis: Redis, caller: Caller) -> None:
        window, passed = divmod(time.time(), _WINDOW)
        key = f"frontdesk:rate:{caller.identity}:{int(window)}"
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
