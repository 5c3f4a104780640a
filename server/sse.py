"""Answers that take their time: events, or one JSON document after blank lines.

Something is sent every few seconds, so that proxies and clients keep waiting. A stream ends by
being closed; only resumable ones, whose readers count on it, are told so by an `end` event.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import anyio
from starlette.responses import StreamingResponse

from engine.watch import Batches

_BEAT = b": heartbeat\r\n\r\n"

OnGone = Callable[[], Awaitable[None]]
"""What to do when the reader is gone before the end."""


class EventStream(StreamingResponse):
    """Server-sent events, with CRLF and in the order event, data, id."""

    media_type = "text/event-stream"

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        own = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(_watched(pieces, on_gone), headers={**own, **(headers or {})})


class SlowJson(StreamingResponse):
    """One JSON document, when it is ready; its status is sent before."""

    media_type = "application/json"

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: Mapping[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        super().__init__(_watched(pieces, on_gone), headers=headers)


def frame(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event on the wire; `data` is JSON on one line."""
    tail = b"" if event_id is None else b"id: " + event_id.encode() + b"\r\n"
    return b"event: " + name.encode() + b"\r\ndata: " + data + b"\r\n" + tail + b"\r\n"


async def frames(batches: Batches, *, resumable: bool) -> AsyncIterator[bytes]:
    """A run's events on the wire, as many at once as there are; a beat where there are none."""
    async for events in batches:
        yield (
            b"".join(
                frame(event.name, event.data, event.id if resumable else None)
                for event in events
                if resumable or event.name != "end"
            )
            if events
            else _BEAT
        )


async def _watched(pieces: AsyncIterator[bytes], on_gone: OnGone | None) -> AsyncIterator[bytes]:
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
