"""A client that costs little: it shares a core with the stores, and must not be what gives way.

A turn is one request on a connection of its own, as of somebody who comes back after a pause. Of
the answer only what is measured is looked at: its status, its first token, how many, and its end.
"""

import asyncio
import json
from asyncio import Transport
from dataclasses import dataclass
from typing import Any, cast

from bench.five import TOKENS

_TOKEN = b"event: custom"
_END = b"0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What came of one request; times in seconds since it was sent."""

    status: int
    """0 when there was no answer."""
    first: float | None
    """When the first token came."""
    total: float
    tokens: int
    whole: bool
    """Whether the answer was read to its end."""
    retry_after: float
    """Seconds that the server asks to wait; 0 when it does not."""

    @property
    def good(self) -> bool:
        return self.status == 200 and self.whole and self.tokens == TOKENS

    @property
    def shed(self) -> bool:
        """Whether the server has turned the request away in the agreed way."""
        return self.status in {429, 503} and self.retry_after > 0


class _Exchange(asyncio.Protocol):
    def __init__(self, request: bytes, leave_after: int | None) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self.head = b""
        self.first: float | None = None
        self.tokens = 0
        self.tail = b""
        self._request = request
        self._leave_after = leave_after
        self._loop = loop
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        self.sent = self._loop.time()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.head:
            self.head = data.partition(b"\r\n\r\n")[0]
        data = self.tail + data
        tokens = data.count(_TOKEN)
        if tokens:
            if self.first is None:
                self.first = self._loop.time() - self.sent
            self.tokens += tokens
            if self._leave_after and self.tokens >= self._leave_after:
                self._transport.abort()
        self.tail = data[-len(_TOKEN) + 1 :]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def ask(
    port: int, path: str, body: Any, *, leave_after: int | None = None, seconds: float = 120
) -> Answer:
    """POST to loopback and read the answer to its end, or leave after so many tokens."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    exchange = _Exchange(head.encode() + data, leave_after)
    try:
        async with asyncio.timeout(seconds):
            transport, _ = await loop.create_connection(lambda: exchange, "127.0.0.1", port)
            try:
                await exchange.done
            finally:
                transport.abort()
    except (OSError, TimeoutError):
        return Answer(0, None, loop.time() - began, exchange.tokens, whole=False, retry_after=0.0)
    return _read(exchange, loop.time() - exchange.sent)


def _read(exchange: _Exchange, total: float) -> Answer:
    status, *lines = exchange.head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    code = status.split(" ")[1] if " " in status else "0"
    whole = exchange.tail.endswith(_END) or "content-length" in headers
    wait = headers.get("retry-after", "0")
    return Answer(
        int(code),
        exchange.first,
        total,
        exchange.tokens,
        whole,
        float(wait) if wait.replace(".", "", 1).isdecimal() else 0.0,
    )


def turn(said: str) -> dict[str, Any]:
    """The body of a turn on the five-node graph."""
    return {
        "assistant_id": "five",
        "input": {"said": said},
        "stream_mode": ["custom"],
        "if_not_exists": "create",
    }
