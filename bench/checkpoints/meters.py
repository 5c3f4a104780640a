"""What is read off the servers: CPU, write-ahead log, bytes, round trips."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from redis.asyncio import Redis

from bench.checkpoints.contenders import Stores

_TICKS = 100  # a second, for everybody on Linux
_SIZE = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""


class Meters:
    """Readings of one PostgreSQL server. Blocking: what is measured stands still meanwhile."""

    def __init__(self, dsn: str) -> None:
        self._admin = psycopg.connect(dsn, autocommit=True)
        self._postmaster = _stat(self._admin.info.backend_pid)[1]

    def close(self) -> None:
        self._admin.close()

    def cpu(self) -> float:
        """Seconds of CPU that the server and its processes have used."""
        of = Path(f"/proc/{self._postmaster}/task/{self._postmaster}/children")
        ticks = sum(_stat(self._postmaster)[11:15])
        for child in of.read_text().split():
            with suppress(FileNotFoundError):  # its time is its parent's now
                ticks += sum(_stat(int(child))[11:13])
        return ticks / _TICKS

    def settle(self) -> None:
        """Write everything out, so that the log of what follows begins alike for everybody."""
        self._admin.execute("checkpoint")

    def wal(self) -> int:
        """Bytes of write-ahead log so far."""
        row = self._admin.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(row[0])


def stored(dsn: str, *, packed: bool) -> int:
    """Bytes of all tables with their indexes, `packed` by a full vacuum before."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        if packed:
            admin.execute("vacuum (full, analyze)")
        row = admin.execute(_SIZE).fetchone()
        assert row is not None
        return int(row[0])


async def held(url: str) -> int:
    """Bytes of all keys in Redis."""
    async with Redis.from_url(url) as client:
        sizes = [await client.memory_usage(key, samples=0) async for key in client.scan_iter()]
    return sum(size or 0 for size in sizes)


def _stat(pid: int) -> list[int]:
    """What follows the state in /proc/PID/stat, headed by a 0 in the state's place."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, fields[1:])]


class Relay:
    """Stands before a server's socket and counts round trips: what is sent after an answer."""

    def __init__(self, target: str) -> None:
        self.trips = 0
        self._target = target
        self._lines: dict[asyncio.Task[None] | None, list[StreamWriter]] = {}

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass on what comes, both ways, until either side hangs up."""
        there, on = await asyncio.open_unix_connection(self._target)
        self._lines[asyncio.current_task()] = [writer, on]
        answered = True

        async def forth() -> None:
            nonlocal answered
            while data := await reader.read(1 << 16):
                self.trips += answered
                answered = False
                on.write(data)
            on.close()

        async def back() -> None:
            nonlocal answered
            while data := await there.read(1 << 16):
                answered = True
                writer.write(data)
            writer.close()

        with suppress(ConnectionError):
            await asyncio.gather(forth(), back())

    async def hang_up(self) -> None:
        """End what clients have left open."""
        for lines in self._lines.values():
            for line in lines:
                line.close()
        await asyncio.gather(*(task for task in self._lines if task))


@asynccontextmanager
async def relayed(stores: Stores) -> AsyncIterator[tuple[Stores, Relay, Relay]]:
    """The same stores behind relays, of PostgreSQL and of Redis."""
    place = conninfo_to_dict(stores.dsn)
    name = f".s.PGSQL.{place['port']}"
    postgres = Relay(f"{place['host']}/{name}")
    redis = Relay(unquote(urlsplit(stores.redis or "").path))
    with TemporaryDirectory() as folder:
        sockets = Path(folder, name), Path(folder, "redis.sock")
        async with (
            await asyncio.start_unix_server(postgres.serve, sockets[0]),
            await asyncio.start_unix_server(redis.serve, sockets[1]),
        ):
            url = f"unix://{sockets[1]}" if stores.redis else None
            try:
                yield Stores(make_conninfo(stores.dsn, host=folder), url), postgres, redis
            finally:
                await asyncio.gather(postgres.hang_up(), redis.hang_up())
