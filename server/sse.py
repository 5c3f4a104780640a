"""Answers that take their time: events, or one JSON document after blank lines.

Something is sent every few seconds, so that proxies and clients keep waiting. A stream ends in good
order; only resumable ones, whose readers count on it, are told so by an `end` event.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.errors import Elsewhere, Unauthorized
from engine.following import Event
from engine.serialise import dumps
from engine.watch import Batches
from server.auth.lasting import Lasting

_BEGINNING = b"id: 0-0\r\n\r\n"
BEAT = b": heartbeat\r\n\r\n"
_OFTEN_ENOUGH = 0.5  # seconds: with the pause until the next beat less than clients wait for

OnGone = Callable[[], Awaitable[None]]
"""What to do when the reader is gone before the end."""


class Slow(StreamingResponse):
    """Pieces as they come.

    When this process stops first, the connection is closed without an end: an orderly one would say
    that all has been told, and clients come back after a cut, here or elsewhere.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        self.pieces = _watched(pieces, on_gone)
        super().__init__(self.pieces, headers=headers)

    async def stream_response(self, send: Send) -> None:
        with suppress(Elsewhere):
            await super().stream_response(send)


class EventStream(Slow):
    """Server-sent events, with CRLF and in the order event, data, id.

    The last one is an `error` when the reader's key or token opens nothing any more.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        own = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(pieces, {**own, **(headers or {})}, on_gone)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if lasting := scope.get("state", {}).get("lasting"):
            self.body_iterator = _while(lasting, self.pieces)
        await super().__call__(scope, receive, send)


class SlowJson(Slow):
    """One JSON document, when it is ready; its status is sent before."""

    media_type = "application/json"


def frame(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event on the wire; `data` is JSON on one line."""
    tail = b"" if event_id is None else b"id: " + event_id.encode() + b"\r\n"
    return b"event: " + name.encode() + b"\r\ndata: " + data + b"\r\n" + tail + b"\r\n"


async def frames(batches: Batches, *, resumable: bool, whole: bool = False) -> AsyncIterator[bytes]:
    """A run's events on the wire, as many at once as there are; a beat where there are none.

    A `whole` stream, from the run's first event on, still says where to go on when it is cut before
    that one.
    """
    told = False
    try:
        async for events in batches:
            told |= bool(events)
            yield (
                b"".join(
                    frame(event.name, event.data, event.id if resumable else None)
                    for event in events
                    if resumable or event.name != "end"
                )
                if events
                else BEAT
            )
    except Elsewhere:
        if resumable and whole and not told:
            yield _BEGINNING
        raise


async def only(batches: Batches, wanted: Callable[[Event], bool]) -> Batches:
    """The events that are wanted; where there are others only, beats now and then."""
    clock = asyncio.get_running_loop().time
    due = clock() + _OFTEN_ENOUGH
    async for events in batches:
        chosen = [event for event in events if wanted(event)]
        if chosen or not events or clock() >= due:
            yield chosen
            due = clock() + _OFTEN_ENOUGH


async def _while(lasting: Lasting, pieces: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """The same, as long as its reader may read. There are beats, so that the end is not missed."""
    async with aclosing(pieces):
        async for piece in pieces:
            if await lasting.over():
                said = {"error": Unauthorized.__name__, "message": str(Unauthorized())}
                yield frame("error", dumps(said))
                return
            yield piece


async def _watched(pieces: AsyncIterator[bytes], on_gone: OnGone | None) -> AsyncGenerator[bytes]:
    """The same, and what to do when nobody reads it to its end."""
    gone = True
    try:
        async for piece in pieces:
            yield piece
        gone = False
    except Exception:
        gone = False
        raise
    finally:
        if gone and on_gone:
            with anyio.CancelScope(shield=True):
                await on_gone()
