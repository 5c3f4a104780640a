"""Private PostgreSQL and Redis servers, started with the first process and gone with the last."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from redis import DriverInfo
from redis import __version__ as redis_version
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as RedisClient

from engine.embedded.place import find_place
from engine.embedded.postgres import Postgres
from engine.embedded.redis import Redis, find_program
from engine.embedded.shared import SharedServer
from engine.errors import ConfigError
from engine.settings import Settings

__all__ = ["Servers", "open_servers"]

_CONNECTIONS = 64  # to Redis; whoever finds none free waits, instead of taking Redis for dead
_WAIT_SECONDS = 5

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Servers:
    """What the process stores into."""

    database_url: str
    """PostgreSQL with pgvector."""
    redis: RedisClient
    """Answers with bytes."""
    redis_url: str | None
    """None when `redis` is a stand-in inside this process."""


@asynccontextmanager
async def open_servers(settings: Settings) -> AsyncIterator[Servers]:
    """The user's own servers, or embedded ones where a URL is not set; released on exit.

    A server of the user's own is not contacted here. Raises `ConfigError` when an embedded one
    cannot run.
    """
    async with AsyncExitStack() as stack:
        database_url = settings.database_url or await _open_postgres(stack, settings)
        redis_url = settings.redis_url or await _open_redis(stack, settings)
        yield Servers(database_url, await _client(stack, redis_url), redis_url)


async def _open_postgres(stack: AsyncExitStack, settings: Settings) -> str:
    postgres = Postgres()
    place = await asyncio.to_thread(find_place, settings.data)
    server = SharedServer(place, postgres)
    stack.push_async_callback(_to_its_end, server.release)
    await _to_its_end(server.acquire)
    _log.info("Embedded PostgreSQL: data in %s.", server.folder)
    return postgres.url(server.sockets)


async def _open_redis(stack: AsyncExitStack, settings: Settings) -> str | None:
    redis = Redis()
    place = await asyncio.to_thread(find_place, settings.data)
    server = SharedServer(place, redis)
    stack.push_async_callback(_to_its_end, server.release)
    program = await asyncio.to_thread(find_program)
    if program is None and await _to_its_end(server.acquire_alone):
        if settings.role != "all":
            raise ConfigError(
                f"The role `{settings.role}` needs a Redis that processes share: set REDIS_URL, "
                "or install redis-server or valkey-server."
            )
        _log.warning(
            "Neither redis-server nor valkey-server is installed: a stand-in inside this process "
            "takes its place, forgets everything at exit, and allows no second process."
        )
        return None
    await _to_its_end(server.acquire)
    _log.info("Embedded Redis: data in %s.", server.folder)
    return redis.url(server.sockets)


async def _client(stack: AsyncExitStack, url: str | None) -> RedisClient:
    client = _connected(url) if url else await asyncio.to_thread(_stand_in)
    stack.push_async_callback(client.aclose)
    return client


def _connected(url: str) -> RedisClient:
    # With no version given, every new connection would look for it on disk and block the loop.
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            driver_info=DriverInfo(lib_version=redis_version),
        )
        return RedisClient.from_pool(pool)
    except ValueError as error:
        raise ConfigError(f"REDIS_URL: {error}") from error


def _stand_in() -> RedisClient:
    import fakeredis  # noqa: PLC0415 - only where no Redis is installed

    fakeredis.FakeRedis().ping()  # reads its table of commands from disk, once for the process
    return fakeredis.FakeAsyncRedis()


async def _to_its_end(work: Callable[[], _T]) -> _T:
    """Work in a thread; who is cancelled meanwhile still waits, so that nothing is half done."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
