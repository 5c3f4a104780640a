"""Answers that take their time: events, or one JSON document after blank lines.

Something is sent every few seconds, so that proxies and clients keep waiting. A stream ends by
being closed; only resumable ones, whose readers count on it, are told so by an `end` event.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress

import anyio
from starlette.responses import StreamingResponse

from engine.following import Event

HEARTBEAT_SECONDS = 4.5
_BEAT = b": heartbeat\r\n\r\n"

OnGone = Callable[[], Awaitable[None]]
"""What to do when the reader is gone before the end."""


class EventStream(StreamingResponse):
    """Server-sent events, with CRLF and in the order event, data, id."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        own = {"cache-control": "no-store", "x-accel-buffering": "no"}
        body = _with_beats(events, _BEAT, on_gone)
        super().__init__(body, headers={**own, **(headers or {})})


class SlowJson(StreamingResponse):
    """One JSON document, when it is ready; its status is sent before."""

    media_type = "application/json"

    def __init__(
        self,
        document: Callable[[], Awaitable[bytes]],
        headers: Mapping[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        super().__init__(_with_beats(_once(document), b"\n", on_gone), headers=headers)


def frame(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event on the wire; `data` is JSON on one line."""
    tail = b"" if event_id is None else b"id: " + event_id.encode() + b"\r\n"
    return b"event: " + name.encode() + b"\r\ndata: " + data + b"\r\n" + tail + b"\r\n"


async def frames(events: AsyncIterator[Event], *, resumable: bool) -> AsyncIterator[bytes]:
    """A run's events on the wire."""
    async for event in events:
        if resumable or event.name != "end":
            yield frame(event.name, event.data, event.id if resumable else None)


async def _once(document: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes]:
    yield await document()


async def _with_beats(
    source: AsyncIterator[bytes], beat: bytes, on_gone: OnGone | None
) -> AsyncIterator[bytes]:
    """What `source` yields, and a beat whenever it is silent for long."""
    gone = True
    piece = asyncio.ensure_future(anext(source))
    try:
        while True:
            await asyncio.wait({piece}, timeout=HEARTBEAT_SECONDS)
            if not piece.done():
                yield beat
                continue
            if error := piece.exception():
                gone = False
                if isinstance(error, StopAsyncIteration):
                    return
                raise error
            yield piece.result()
            piece = asyncio.ensure_future(anext(source))
    finally:
        with anyio.CancelScope(shield=True):
            piece.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await piece
            if gone and on_gone:
                await on_gone()
