"""Stands between a client and its server, and loses answers or connections when told to."""

import asyncio
import signal
from pathlib import Path


def run_proxy(front: Path | int, behind: Path) -> None:
    """Serve at the socket `front`, or that port of the loopback, until killed.

    At SIGUSR1 each connection loses its next answer: the server has done what was asked, and the
    client sees its connection break. At SIGUSR2 all connections break, and new ones at once, until
    the next SIGUSR2.
    """
    asyncio.run(_Proxy(behind).serve(front))


class _Proxy:
    def __init__(self, behind: Path) -> None:
        self._behind = behind
        self._refusing = False
        self._losing: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()

    async def serve(self, front: Path | int) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._lose)
        loop.add_signal_handler(signal.SIGUSR2, self._toggle)
        async with await self._listen(front) as server:
            await server.serve_forever()

    async def _listen(self, front: Path | int) -> asyncio.Server:
        if isinstance(front, int):
            return await asyncio.start_server(self._connected, "127.0.0.1", front)
        draft = front.with_suffix(".draft")
        server = await asyncio.start_unix_server(self._connected, draft)
        draft.rename(front)
        return server

    async def _connected(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._clients.add(client)
        try:
            if not self._refusing:
                answers, server = await asyncio.open_unix_connection(self._behind)
                asking = asyncio.create_task(_pass_on(reader, server))
                await self._answer(answers, client)
                asking.cancel()
                server.close()
        except OSError:
            pass
        self._clients.discard(client)
        self._losing.discard(client)
        client.close()

    async def _answer(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if client in self._losing:
                return
            client.write(data)
            await client.drain()

    def _lose(self) -> None:
        self._losing |= self._clients

    def _toggle(self) -> None:
        self._refusing = not self._refusing
        for client in self._clients:
            client.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            server.write(data)
            await server.drain()
    except OSError:
        pass
    finally:
        server.close()
