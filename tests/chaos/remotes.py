"""Two systems of others: one honours an idempotency key, one does not. Both count what they did."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random


class Remotes:
    """`done[name][marker]`: how often. Now and then an answer is lost after the work was done."""

    def __init__(self, rng: Random) -> None:
        self.done: dict[str, Counter[str]] = {"keyed": Counter(), "keyless": Counter()}
        self.lost = 0
        self._keys: set[str] = set()
        self._rng = rng

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        name = head.split()[1].strip("/")
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        await asyncio.sleep(self._rng.uniform(0, 0.05))
        self._do(name, headers["idempotency-key"], json.loads(body)["marker"])
        if self._rng.random() < 0.04:
            self.lost += 1
            return False
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        return True

    def _do(self, name: str, key: str, marker: str) -> None:
        if name == "keyed":
            if key in self._keys:
                return
            self._keys.add(key)
        self.done[name][marker] += 1


@asynccontextmanager
async def serving(remotes: Remotes) -> AsyncIterator[str]:
    """Their URL."""
    server = await asyncio.start_server(remotes.serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
