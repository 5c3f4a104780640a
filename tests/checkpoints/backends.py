"""Where the tests keep checkpoints: each of our savers on servers of its own kind."""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import psycopg
import redis.asyncio
from langgraph.checkpoint.base import BaseCheckpointSaver

import checkpoints


class Backend(Protocol):
    """A place of its own; every saver opened on it sees the same checkpoints."""

    def open(self, **options: object) -> AbstractAsyncContextManager[BaseCheckpointSaver]: ...

    async def dump(self) -> list[bytes]:
        """All that is stored, as raw as it can be had."""
        ...

    async def drop(self) -> None: ...


class OnPostgres:
    def __init__(self, dsn: str, url: str, name: str) -> None:
        self.dsn = dsn
        self.schema = name

    def open(self, **options: object) -> AbstractAsyncContextManager[BaseCheckpointSaver]:
        options = {"size": 3, **options}
        return checkpoints.PostgresCheckpointer.open(self.dsn, schema=self.schema, **options)

    async def dump(self) -> list[bytes]:
        parts: list[bytes] = []
        async with await psycopg.AsyncConnection.connect(self.dsn) as conn:
            tables = await conn.execute(
                "select format('%%I.%%I', schemaname, tablename) from pg_tables"
                " where schemaname = %s",
                [self.schema],
            )
            for (table,) in await tables.fetchall():
                copying = conn.cursor().copy(f"copy {table} to stdout (format binary)")
                async with copying as rows:
                    parts += [bytes(row) async for row in rows]
        return parts

    async def drop(self) -> None:
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as conn:
            await conn.execute(f"drop schema if exists {self.schema} cascade")


class OnRedis:
    def __init__(self, dsn: str, url: str, name: str) -> None:
        self.url = url
        self.prefix = name

    def open(self, **options: object) -> AbstractAsyncContextManager[BaseCheckpointSaver]:
        return checkpoints.RedisCheckpointer.open(self.url, prefix=self.prefix, **options)

    async def dump(self) -> list[bytes]:
        parts: list[bytes] = []
        async with redis.asyncio.Redis.from_url(self.url) as client:
            async for key in client.scan_iter(match=f"{self.prefix}*", count=1000):
                parts += [key, *await _content(client, key)]
        return parts

    async def drop(self) -> None:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            async for key in client.scan_iter(match=f"{self.prefix}*", count=1000):
                await client.delete(key)


class OnBoth:
    def __init__(self, dsn: str, url: str, name: str) -> None:
        self.postgres = OnPostgres(dsn, url, name)
        self.redis = OnRedis(dsn, url, name)

    def open(self, **options: object) -> AbstractAsyncContextManager[BaseCheckpointSaver]:
        return checkpoints.TieredCheckpointer.open(
            self.postgres.dsn,
            self.redis.url,
            schema=self.postgres.schema,
            prefix=self.redis.prefix,
            **{"size": 3, **options},
        )

    async def dump(self) -> list[bytes]:
        return [*await self.postgres.dump(), *await self.redis.dump()]

    async def drop(self) -> None:
        await self.postgres.drop()
        await self.redis.drop()


@asynccontextmanager
async def dropped(backend: Backend) -> AsyncIterator[Backend]:
    """The backend, removed at the end."""
    try:
        yield backend
    finally:
        await backend.drop()


async def _content(client: redis.asyncio.Redis, key: bytes) -> list[bytes]:
    match await client.type(key):
        case b"string":
            return [await client.get(key) or b""]
        case b"hash":
            return [part for pair in (await client.hgetall(key)).items() for part in pair]
        case b"list":
            return list(await client.lrange(key, 0, -1))
        case b"set":
            return list(await client.smembers(key))
        case b"zset":
            return list(await client.zrange(key, 0, -1))
        case kind:
            raise AssertionError(f"no test can look into a {kind!r}")


def readings(parts: list[bytes]) -> Iterator[bytes]:
    """These bytes, and whatever compressed data begins anywhere in them, made readable."""
    for part in parts:
        yield part
        for start in range(len(part)):
            for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
                plain = _inflated(part[start:], window)
                if len(plain) > 8:
                    yield plain


def _inflated(data: bytes, window: int) -> bytes:
    machine = zlib.decompressobj(window)
    plain = b""
    try:
        for at in range(0, len(data), 64):
            plain += machine.decompress(data[at : at + 64])
    except zlib.error:
        pass
    return plain
