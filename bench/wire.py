"""HTTP/1.1 on a bare socket, for measuring servers.

A general client costs a millisecond or two a call, on the clock of whoever is measured: this one
keeps one connection open, sends JSON, and reads what comes. One request at a time.
"""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

_LIMIT = 1 << 22


class WireError(Exception):
    """An answer other than 200; the message has its status and its body."""


class Wire:
    """A connection that is kept alive."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    async def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The whole answer. Raises `WireError`."""
        return b"".join([part async for part in self.parts(method, path, body)])

    async def parts(self, method: str, path: str, body: Any = None) -> AsyncIterator[bytes]:
        """The answer as it comes. Raises `WireError`; the connection is lost unless read out."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        self._writer.write(head.encode() + data)
        status, headers = _head(await self._reader.readuntil(b"\r\n\r\n"))
        if status != 200:
            said = b"".join([part async for part in self._body(headers)])
            raise WireError(f"{status}: {said.decode(errors='replace')}")
        async for part in self._body(headers):
            yield part

    async def _body(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        if headers.get("transfer-encoding") != "chunked":
            yield await self._reader.readexactly(int(headers.get("content-length", 0)))
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readuntil(b"\r\n")

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def wired(port: int, number: int = 1) -> AsyncIterator[list[Wire]]:
    """So many connections to a port of loopback."""
    opened = [await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT) for _ in range(number)]
    wires = [Wire(reader, writer, f"127.0.0.1:{port}") for reader, writer in opened]
    try:
        yield wires
    finally:
        for wire in wires:
            await wire.close()


def _head(text: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = text.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}
