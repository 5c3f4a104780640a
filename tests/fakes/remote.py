"""A remote system over HTTP that does things: it counts them, and may fail in every awkward way.

`POST /do` does something, under the `Idempotency-Key`; `GET /done/KEY` tells whether. Alone:
`python -m tests.fakes.remote`, which prints its URL.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

Behaviour = Literal["answer", "drop", "hang", "refuse", "fail", "drop before"]


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    lines: list[tuple[str, str]]
    """All headers, those that came twice too."""
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.lines)


@dataclass
class Remote:
    """`script` holds the behaviour of the next requests to do something; then it answers."""

    honours_key: bool = True
    script: list[Behaviour] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """The key of every time that it did something."""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.requests.append(request)
                answer = await self._answer(request)
                if answer is None:
                    return
                status, body = answer
                data = json.dumps(body).encode()
                head = f"HTTP/1.1 {status} .\r\ncontent-length: {len(data)}\r\n\r\n"
                writer.write(head.encode() + data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _answer(self, request: Request) -> tuple[int, Any] | None:
        """Status and body; None cuts the connection."""
        if request.method == "GET":
            key = unquote(request.path.removeprefix("/done/"))
            return 200, {"done": key in self.done}
        behaviour = self.script.pop(0) if self.script else "answer"
        key = request.headers.get("idempotency-key", "")
        if behaviour == "refuse":
            return 409, {"detail": "not today"}
        if behaviour == "fail":
            return 503, {"detail": "overloaded"}
        if behaviour == "drop before":
            return None
        if not (self.honours_key and key in self.done):
            self.done.append(key)
        if behaviour == "hang":
            await asyncio.sleep(60)
        return None if behaviour == "drop" else (200, {"number": self.done.index(key) + 1})


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = [(name.lower(), value.strip()) for name, value in (x.split(":", 1) for x in lines)]
    body = await reader.readexactly(int(dict(pairs).get("content-length", 0)))
    return Request(method, path, pairs, body)


@asynccontextmanager
async def open_remote(remote: Remote) -> AsyncIterator[Remote]:
    """Served on a free port of this machine."""
    server = await asyncio.start_server(remote.serve, "127.0.0.1", 0)
    remote.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield remote
    server.close()
    if hasattr(server, "close_clients"):
        server.close_clients()


async def _alone() -> None:
    async with open_remote(Remote()) as remote:
        print(remote.url, flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_alone())
