"""A cable to a server that can be cut: connections through it break, and new ones are refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cable:
    """Listens on loopback `port` and passes everything on to a unix socket or a port of its own."""

    def __init__(self, end: str | int) -> None:
        self._end = end
        self._cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self.port = 0

    def cut(self) -> None:
        self._cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self._cut = False

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        theirs, far = await self._far()
        ends = {writer, far}
        self._ends |= ends
        await asyncio.wait(
            {asyncio.create_task(_copy(reader, far)), asyncio.create_task(_copy(theirs, writer))},
            return_when=asyncio.FIRST_COMPLETED,
        )
        for end in ends:
            end.transport.abort()
        self._ends -= ends

    async def _far(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._end, int):
            return await asyncio.open_connection("127.0.0.1", self._end)
        return await asyncio.open_unix_connection(self._end)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def cable(end: str | int) -> AsyncIterator[Cable]:
    """A whole one, for as long as the block lasts."""
    laid = Cable(end)
    server = await asyncio.start_server(laid.connected, "127.0.0.1", 0)
    laid.port = server.sockets[0].getsockname()[1]
    yield laid
    laid.cut()
    server.close()
